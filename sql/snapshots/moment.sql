-- The moment that this transaction sees, and what names the last change in it: of the date's events, and of groups,
-- people and addresses.
select now() as state_at,
       coalesce((select revision::text from event_days where received_on = {date}::date), 'none') as events_revision,
       (select revision::text from state_revision) as state_revision
