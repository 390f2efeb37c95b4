-- The time zone of local times.
set variable time_zone = $zone;
