-- One event's row, without its content.
select type, received_at, last_received_at, deliveries, undecrypted, encode(body_sha256, 'hex') as body_sha256, landing_key,
       landing_line, (received_at at time zone 'UTC')::date as day
from whatsapp_events
where event_id = %(event_id)s;
