-- Add events that the table doesn't have, as rows ready to be stored.
copy whatsapp_events
    (id, event_id, received_at, last_received_at, body_received_at, deliveries, payload_sanitized, undecrypted,
     body_sha256, landing_line, landing_key, type, group_id, chat_jid,
     participant_id, participant_jid, occurred_at, payload)
from stdin (format binary);
