-- The events whose author has one of these addresses, or whose payload holds one of these numbers.
select event_id::text, type, coalesce(display_name, external_jid) as group_name, occurred_at,
       whatsapp_events.received_at, whatsapp_events.payload,
       participant_jid = any(%(jids)b) is true as own
from whatsapp_events
left join whatsapp_groups on whatsapp_groups.id = group_id
where participant_jid = any(%(jids)b) or whatsapp_events.payload::text like any(%(numbers)b)
order by coalesce(occurred_at, whatsapp_events.received_at), event_id;
