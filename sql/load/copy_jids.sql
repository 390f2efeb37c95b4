-- Stage the addresses seen.
copy staged_jids
    (jid, first_seen_at, last_seen_at, push_name, named_at, named_by,
     described_at, described_by, described_sha256, payload)
from stdin (format binary);
