-- Where a staged body is better than the chosen one, the event's derived columns follow it. The best body is the least
-- by (undecrypted, received_at, sha256): it is either the chosen one or among those staged now.
with followed as (
    update whatsapp_events as known
    set ({columns}) = row({better})
    from (
        select distinct on (event_id) event_id, body_sha256
        from whatsapp_event_revisions
        join staged_contested using (event_id)
        order by event_id, undecrypted, received_at, body_sha256
    ) as best
    join (
        select distinct on (event_id, body_sha256) staged_events.*
        from staged_events
        join staged_contested using (event_id)
        order by event_id, body_sha256
    ) as better using (event_id, body_sha256)
    where known.event_id = best.event_id and known.body_sha256 <> best.body_sha256
    returning (known.received_at at time zone 'UTC')::date as received_on
)
insert into staged_days (received_on)
select distinct received_on
from followed;
