-- Stage events.
copy staged_events
    (event_id, type, group_jid, chat_jid, participant_jid, occurred_at, received_at, payload, payload_sanitized,
     body_sha256, undecrypted, landing_key, landing_line)
from stdin (format binary);
