-- The descriptions of people that an event showed which has expired.
update whatsapp_participant_jids
set payload = null, described_at = null, described_by = null, described_sha256 = null
from expired_events
where event_id = described_by;
