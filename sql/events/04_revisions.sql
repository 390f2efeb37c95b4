-- Point at every body of a contested event, the chosen one among them for now.
insert into whatsapp_event_revisions as known
    (event_id, body_sha256, undecrypted, received_at, landing_key, landing_line)
select distinct on (event_id, body_sha256)
    event_id, body_sha256, undecrypted, received_at, landing_key, landing_line
from (
    select event_id, body_sha256, undecrypted, received_at, landing_key, landing_line
    from staged_events
    union all
    select event_id, body_sha256, undecrypted, body_received_at, landing_key, landing_line
    from whatsapp_events
) as body
join staged_contested using (event_id)
order by event_id, body_sha256, received_at, landing_key collate "C", landing_line
on conflict (event_id, body_sha256) do update
set (received_at, landing_key, landing_line) = (
    select received_at, landing_key, landing_line
    from (values (known.received_at, known.landing_key, known.landing_line),
                 (excluded.received_at, excluded.landing_key, excluded.landing_line))
        as delivery (received_at, landing_key, landing_line)
    order by received_at, landing_key collate "C", landing_line
    limit 1
);
