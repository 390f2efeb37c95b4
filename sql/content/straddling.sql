-- The events that were received in a stretch of time and delivered again after it: deliveries, and the last of them.
select deliveries, last_received_at
from whatsapp_events
where received_at < %(until)s and (%(since)s::timestamptz is null or received_at >= %(since)s)
    and last_received_at >= %(until)s;
