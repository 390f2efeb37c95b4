-- The UTC dates that have events, and how often each has changed.
select received_on, revision from event_days order by received_on
