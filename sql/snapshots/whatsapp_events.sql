-- The events received in one hour of a UTC date, with the address of their group beside its id. By group, so that a row
-- group has the events of few groups, received within few hours. The order is found first, of narrow rows, which takes
-- little memory whatever the payloads; the rows themselves come in this order then.
with places as materialized (
    select events.ctid as place, external_jid as group_jid, received_at as received, event_id as event
    from whatsapp_events as events
    left join whatsapp_groups on whatsapp_groups.id = group_id
    where received_at >= {date}::date::timestamp at time zone 'UTC' + {hour} * interval '1 hour'
      and received_at < {date}::date::timestamp at time zone 'UTC' + ({hour} + 1) * interval '1 hour'
    order by group_jid, received, event
)
select {columns}
from places
join whatsapp_events as events on events.ctid = place
order by group_jid, received, event
