-- The events received on one UTC date, with the addresses beside the ids; columns as pipelines/schemas.py has them.
select events.id::text, event_id::text, type, group_id::text, external_jid as group_jid,
       participant_id::text, participant_jid, events.tenant_id::text, occurred_at, received_at, last_received_at,
       deliveries, undecrypted, events.payload::text, payload_sanitized, landing_key, landing_line
from whatsapp_events as events
left join whatsapp_groups on whatsapp_groups.id = group_id
where received_at >= {date}::date::timestamp at time zone 'UTC'
  and received_at < ({date}::date + 1)::timestamp at time zone 'UTC'
order by received_at, event_id
