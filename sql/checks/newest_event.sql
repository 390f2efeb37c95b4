-- When the newest event was first received; looked for on the last dates that have events, where the index leads.
select max(received_at)
from whatsapp_events
where received_at >= (select max(received_on) from event_days)::timestamp at time zone 'UTC' - interval '1 day';
