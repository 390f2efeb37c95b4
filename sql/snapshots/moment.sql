-- The moment that this transaction sees, and what names the last change in it: of the date's events, and of any events,
-- since whatever changes groups, people and addresses changes events too.
select now() as state_at,
       coalesce((select revision::text from event_days where received_on = {date}::date), 'none') as events_revision,
       (select md5(coalesce(string_agg(revision::text, ',' order by received_on), '')) from event_days) as state_revision
