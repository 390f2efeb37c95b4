-- The dates of a stretch of time on which events were received.
select received_on
from event_days
where received_on < %(until)s and (%(since)s::date is null or received_on >= %(since)s)
order by received_on;
