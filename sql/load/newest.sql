-- The greatest key that the ledger has, of hours before one; and when a listing noted the hour that has waited longest.
select (select max(key) from landing_files where key < %(before)s),
       (select min(noted_at) from pending_hours);
