-- One row per person whose membership of a group a stub of messages.upsert changes. The same text is the view in
-- PostgreSQL, made by a migration, and the view over the snapshots in DuckDB, as whatsapp_messages.
select
    event.event_id,
    event.message_id,
    event.group_id,
    event.group_jid,
    wpp_membership(event.payload) as kind,
    affected.participant_id,
    person.jid as participant_jid,
    event.participant_id as actor_id,
    event.participant_jid as actor_jid,
    event.occurred_at as changed_at,
    wpp_local(event.occurred_at) as changed_at_local
from {events} as event
cross join lateral (
    select unnest(wpp_members(stub.payload)) as jid
    from (select event.payload) as stub
) as person
left join whatsapp_participant_jids as affected on affected.jid = person.jid
where event.type = 'messages.upsert'
  and wpp_membership(event.payload) is not null
