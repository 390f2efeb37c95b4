-- The chosen body is no revision: its place moves to the event.
with chosen as (
    delete from whatsapp_event_revisions as revision
    using whatsapp_events as event, staged_contested
    where revision.event_id = staged_contested.event_id
      and event.event_id = revision.event_id
      and event.body_sha256 = revision.body_sha256
    returning revision.*
)
update whatsapp_events as known
set body_received_at = chosen.received_at, landing_key = chosen.landing_key, landing_line = chosen.landing_line
from chosen
where known.event_id = chosen.event_id;
