-- The events that were received in a stretch of time, in the order in which their bodies are landed.
select event_id::text
from whatsapp_events
where received_at < %(until)s and (%(since)s::timestamptz is null or received_at >= %(since)s)
order by landing_key collate "C", landing_line;
