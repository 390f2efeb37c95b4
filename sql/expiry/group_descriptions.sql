-- The descriptions of groups that an event showed which has expired.
update whatsapp_groups
set payload = null, changed_at = null, described_at = null, described_by = null, described_sha256 = null
from expired_events
where event_id = described_by;
