-- The pairs whose newest event has expired, with the people whom that may part.
with gone as (
    delete from whatsapp_jid_pairs as pair
    where not exists (select from whatsapp_events where whatsapp_events.event_id = pair.event_id)
    returning lid_jid, phone_jid
)
select lid_jid, participant_id
from gone left join whatsapp_participant_jids on jid = lid_jid;
