-- When the hour was noted that has waited longest for its load.
select min(noted_at) from pending_hours;
