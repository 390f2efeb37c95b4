-- Where the views read events from in DuckDB, as sql/views/events.sql says it for PostgreSQL: the snapshots of every date,
-- with the person as known now, for an older date's file may have the former one. A payload that isn't JSON to DuckDB has
-- nothing to read.
create view whatsapp_events_now as
select
    *,
    wpp_text(json_extract(payload, '$.key.id')) as message_id,
    coalesce(group_jid, wpp_chat(payload)) as chat_jid,
    wpp_target(type, payload) as target_id
from (
    select
        event.event_id, event.type, event.group_id, event.group_jid, known.participant_id, event.participant_jid,
        event.occurred_at, event.received_at, event.undecrypted, try_cast(event.payload as json) as payload
    from whatsapp_events as event
    left join whatsapp_participant_jids as known on known.jid = event.participant_jid
) as row_of;
