-- Stage the groups seen.
copy staged_groups
    (external_jid, first_seen_at, last_seen_at, named_timed, display_name, named_at, named_by,
     changed_at, described_at, described_by, described_sha256, payload)
from stdin (format binary);
