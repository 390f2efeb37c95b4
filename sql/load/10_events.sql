-- New events with the best of their staged bodies, and further deliveries of known ones.
-- Returns how many events each landing file brought that were not known before.
with best as (
    select distinct on (event_id) *
    from staged_events
    order by event_id, undecrypted, received_at, body_sha256, landing_key collate "C", landing_line
),
delivered as (
    select event_id, count(*) as deliveries, min(received_at) as first_at, max(received_at) as last_at
    from staged_events
    group by event_id
),
upserted as (
    insert into whatsapp_events as known
        (event_id, type, group_id, participant_id, participant_jid, occurred_at, received_at, last_received_at,
         deliveries, payload, payload_sanitized, body_sha256, body_received_at, undecrypted, landing_key, landing_line)
    select event_id, type, whatsapp_groups.id, participant_id, participant_jid, occurred_at, first_at, last_at,
           deliveries, best.payload, payload_sanitized, body_sha256, received_at, undecrypted, landing_key, landing_line
    from best
    join delivered using (event_id)
    left join whatsapp_groups on external_jid = group_jid
    left join whatsapp_participant_jids on jid = participant_jid
    on conflict (event_id) do update
    set deliveries = known.deliveries + excluded.deliveries,
        received_at = least(known.received_at, excluded.received_at),
        last_received_at = greatest(known.last_received_at, excluded.last_received_at),
        (body_received_at, landing_key, landing_line) = (
            select received_at, landing_key, landing_line
            from (values (known.body_sha256, known.body_received_at, known.landing_key, known.landing_line),
                         (excluded.body_sha256, excluded.body_received_at, excluded.landing_key, excluded.landing_line))
                as delivery (body_sha256, received_at, landing_key, landing_line)
            where delivery.body_sha256 = known.body_sha256
            order by received_at, landing_key collate "C", landing_line
            limit 1
        )
    returning old.event_id is null as is_new, new.landing_key,
              old.received_at as old_received_at, new.received_at as new_received_at
),
changed_days as (
    insert into staged_days (received_on)
    select distinct (moment at time zone 'UTC')::date
    from upserted, lateral (values (old_received_at), (new_received_at)) as received (moment)
    where moment is not null
)
select landing_key, count(*) as loaded
from upserted
where is_new
group by landing_key;
