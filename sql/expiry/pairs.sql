-- The pairs whose newest event has expired, with the people whom that may part.
with gone as (
    delete from whatsapp_jid_pairs using expired_events
    where expired_events.event_id = whatsapp_jid_pairs.event_id
    returning lid_jid, phone_jid
)
select lid_jid, participant_id
from gone left join whatsapp_participant_jids on jid = lid_jid;
