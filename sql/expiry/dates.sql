-- The dates and hours before a moment: none of them waits for a snapshot or a load any more. Return the dates.
with hours as (delete from pending_hours where hour < %(before)s)
delete from event_days
where received_on < (%(before)s at time zone 'UTC')::date
returning received_on;
