-- The moment that this transaction sees, and the revision that the date's events have in it.
select now() as state_at, coalesce((select revision from event_days where received_on = {date}::date), 0) as revision
