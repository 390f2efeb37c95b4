-- The whole landing zone was listed; earlier listings tell nothing more.
with former as (delete from landing_listings)
insert into landing_listings (files, pending) values (%(files)s, %(pending)s);
