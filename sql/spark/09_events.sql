-- Every event by its chosen body, the least by (undecrypted, received_at, sha256), where that was landed first; with its
-- author as known now.
create or replace temporary view whatsapp_events as
select id_of('whatsapp_events', event_id) as id, event_id, body.type, id_of('whatsapp_groups', body.group_jid) as group_id,
       body.group_jid, body.chat_jid,
       id_of('whatsapp_participants', coalesce(owners.phone_jid, body.participant_jid)) as participant_id,
       body.participant_jid, cast(null as string) as tenant_id, body.occurred_at,
       received_at, last_received_at, deliveries, body.undecrypted, body.payload, body.payload_sanitized,
       body.landing_key, body.landing_line, body.body_sha256, body.received_at as body_received_at
from (
    select event_id, min(received_at) as received_at, max(received_at) as last_received_at,
           cast(count(*) as int) as deliveries,
           min_by(
               struct(type, group_jid, chat_jid, participant_jid, occurred_at, received_at, undecrypted, payload,
                      payload_sanitized, landing_key, landing_line, body_sha256),
               struct(undecrypted, received_at, body_sha256, landing_key, landing_line)
           ) as body
    from shown
    where shows = 'line'
    group by event_id
)
left join owners on owners.lid_jid = body.participant_jid;
