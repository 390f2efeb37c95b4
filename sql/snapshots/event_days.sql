-- The UTC dates that have events, and the last change of each.
select received_on, revision::text from event_days order by received_on
