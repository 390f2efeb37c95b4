-- The events received in one hour of a UTC date, with the addresses beside the ids; columns as pipelines/schemas.py has
-- them. By group, so that a row group has the events of few groups, received within few hours.
select events.id::text, event_id::text, type, group_id::text, external_jid as group_jid,
       participant_id::text, participant_jid, events.tenant_id::text, occurred_at, received_at, last_received_at,
       deliveries, undecrypted, events.payload::text, payload_sanitized, landing_key, landing_line
from whatsapp_events as events
left join whatsapp_groups on whatsapp_groups.id = group_id
where received_at >= {date}::date::timestamp at time zone 'UTC' + {hour} * interval '1 hour'
  and received_at < {date}::date::timestamp at time zone 'UTC' + ({hour} + 1) * interval '1 hour'
order by group_jid, received_at, event_id
