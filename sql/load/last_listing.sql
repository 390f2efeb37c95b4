-- When the whole landing zone was listed last.
select max(finished_at) from landing_listings;
