-- The moment that this transaction sees, and the revision that the date's events have in it.
select now() as state_at,
       (select revision::text from event_days where received_on = {date}::date) as revision
