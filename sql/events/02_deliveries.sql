-- Further deliveries of known events: how many, the first and the last, and where the chosen body came first.
with delivered as (
    select event_id, count(*) as deliveries, min(received_at) as first_at, max(received_at) as last_at
    from staged_events
    group by event_id
),
same_body as (
    select distinct on (event_id) event_id, staged.received_at, staged.landing_key, staged.landing_line
    from staged_events as staged
    join whatsapp_events as known using (event_id, body_sha256)
    order by event_id, staged.received_at, staged.landing_key collate "C", staged.landing_line
),
counted as (
    update whatsapp_events as known
    set deliveries = known.deliveries + delivered.deliveries,
        received_at = least(known.received_at, first_at),
        last_received_at = greatest(known.last_received_at, last_at),
        (body_received_at, landing_key, landing_line) = (
            select received_at, landing_key, landing_line
            from (values (known.body_received_at, known.landing_key, known.landing_line),
                         (same_body.received_at, same_body.landing_key, same_body.landing_line))
                as delivery (received_at, landing_key, landing_line)
            order by received_at, landing_key collate "C", landing_line
            limit 1
        )
    from delivered
    left join same_body using (event_id)
    where known.event_id = delivered.event_id
    returning old.received_at as old_received_at, new.received_at as new_received_at,
              (old.received_at, old.landing_key, old.landing_line) = (new.received_at, new.landing_key, new.landing_line)
                  as only_redelivered
)
insert into staged_days (received_on, only_redelivered)
select distinct (moment at time zone 'UTC')::date, only_redelivered
from counted, lateral (values (old_received_at), (new_received_at)) as received (moment);
