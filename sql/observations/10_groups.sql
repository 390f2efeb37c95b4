-- Groups with their newest name, their newest full metadata and their first and last sight.
insert into whatsapp_groups as known
    (external_jid, first_seen_at, last_seen_at, display_name, named_at, named_by,
     payload, described_at, described_by, described_sha256)
select external_jid, first_seen_at, last_seen_at, display_name, named_at, named_by,
       payload, described_at, described_by, described_sha256
from staged_groups
order by external_jid
on conflict (external_jid) do update
set first_seen_at = least(known.first_seen_at, excluded.first_seen_at),
    last_seen_at = greatest(known.last_seen_at, excluded.last_seen_at),
    (display_name, named_at, named_by) = (
        select display_name, named_at, named_by
        from (values (known.display_name, known.named_at, known.named_by),
                     (excluded.display_name, excluded.named_at, excluded.named_by))
            as either (display_name, named_at, named_by)
        order by named_at desc nulls last, named_by desc, display_name collate "C" desc
        limit 1
    ),
    (payload, described_at, described_by, described_sha256) = (
        select payload, described_at, described_by, described_sha256
        from (values (known.payload, known.described_at, known.described_by, known.described_sha256),
                     (excluded.payload, excluded.described_at, excluded.described_by, excluded.described_sha256))
            as either (payload, described_at, described_by, described_sha256)
        order by described_at desc nulls last, described_by desc, described_sha256 desc
        limit 1
    );
