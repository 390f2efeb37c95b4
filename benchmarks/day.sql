-- One copy of the seeds among the events of a UTC date, received evenly over its share of the day; ids, times, keys and
-- secrets are their own.
insert into whatsapp_events (
    event_id, type, group_id, participant_id, participant_jid, occurred_at, received_at, last_received_at, deliveries,
    payload, payload_sanitized, body_sha256, body_received_at, undecrypted, landing_key, landing_line
)
select digest::uuid, type, group_id, participant_id, participant_jid,
       date_trunc('second', at - interval '1 second'), at, at, 1,
       payload || jsonb_build_object(
           'text', words,
           'jpegThumbnail', thumbnail,
           'messageContextInfo', jsonb_build_object(
               'stanzaId', upper(digest),
               'messageSecret', encode(sha256(digest::bytea), 'base64'),
               'deviceListMetadata', jsonb_build_object(
                   'senderKeyHash', left(encode(sha256(body_sha256), 'base64'), 12),
                   'senderTimestamp', extract(epoch from at)::bigint::text,
                   'recipientKeyHash', left(digest, 12)
               )
           )
       ),
       payload_sanitized, body_sha256, at, undecrypted,
       to_char(at at time zone 'UTC', '"whatsapp/date="YYYY-MM-DD"/hour="HH24/') || md5(file::text)::uuid || '.jsonl',
       number %% 200 + 1
from seeds,
     lateral (select %(date)s::date::timestamp at time zone 'UTC'
              + (%(copy)s + number::float8 / %(seeds)s) / %(copies)s * interval '1 day' as at,
              md5(%(date)s::text || '/' || %(copy)s::text || '/' || number) as digest,
              %(copy)s::bigint * %(seeds)s + number / 200 as file) as own
