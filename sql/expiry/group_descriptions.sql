-- The descriptions of groups that an event showed which has expired.
update whatsapp_groups
set payload = null, changed_at = null, described_at = null, described_by = null, described_sha256 = null
where described_by is not null and not exists (select from whatsapp_events where event_id = described_by);
