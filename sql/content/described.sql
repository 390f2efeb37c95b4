-- The groups that these events describe, and where the body is landed by which they do.
select known.id, body.landing_key, body.landing_line
from whatsapp_groups as known
join (
    select event_id, body_sha256, landing_key, landing_line from whatsapp_events
    union all
    select event_id, body_sha256, landing_key, landing_line from whatsapp_event_revisions
) as body on body.event_id = known.described_by and body.body_sha256 = known.described_sha256
where known.described_by = any(%(event_ids)s::uuid[]);
