-- Groups with their name, their full metadata and their first and last sight. A name with a time of its own comes before
-- any other, then the newest; a metadata that names a later change before any other, then the newest received.
insert into whatsapp_groups as known
    (external_jid, first_seen_at, last_seen_at, named_timed, display_name, named_at, named_by,
     changed_at, payload, described_at, described_by, described_sha256)
select external_jid, first_seen_at, last_seen_at, named_timed, display_name, named_at, named_by,
       changed_at, payload, described_at, described_by, described_sha256
from staged_groups
order by external_jid
on conflict (external_jid) do update
set first_seen_at = least(known.first_seen_at, excluded.first_seen_at),
    last_seen_at = greatest(known.last_seen_at, excluded.last_seen_at),
    (named_timed, display_name, named_at, named_by) = (
        select named_timed, display_name, named_at, named_by
        from (values (known.named_timed, known.display_name, known.named_at, known.named_by),
                     (excluded.named_timed, excluded.display_name, excluded.named_at, excluded.named_by))
            as either (named_timed, display_name, named_at, named_by)
        order by named_timed desc nulls last, named_at desc, named_by desc, display_name collate "C" desc
        limit 1
    ),
    (changed_at, payload, described_at, described_by, described_sha256) = (
        select changed_at, payload, described_at, described_by, described_sha256
        from (values (known.changed_at, known.payload, known.described_at, known.described_by, known.described_sha256),
                     (excluded.changed_at, excluded.payload,
                      excluded.described_at, excluded.described_by, excluded.described_sha256))
            as either (changed_at, payload, described_at, described_by, described_sha256)
        order by changed_at desc nulls last, described_at desc, described_by desc, described_sha256 desc
        limit 1
    );
