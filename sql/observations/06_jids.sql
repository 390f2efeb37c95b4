-- Every address with its person, its newest name and description and its first and last sight; note which ones changed
-- hands.
with upserted as (
    insert into whatsapp_participant_jids as known
        (jid, participant_id, push_name, named_at, named_by,
         payload, described_at, described_by, described_sha256, first_seen_at, last_seen_at)
    select jid, owner.id, staged.push_name, named_at, named_by,
           staged.payload, described_at, described_by, described_sha256, staged.first_seen_at, staged.last_seen_at
    from staged_jids as staged
    join staged_owners using (jid)
    join whatsapp_participants as owner on owner.external_jid = owner_jid
    order by jid
    on conflict (jid) do update
    set participant_id = excluded.participant_id,
        first_seen_at = least(known.first_seen_at, excluded.first_seen_at),
        last_seen_at = greatest(known.last_seen_at, excluded.last_seen_at),
        (push_name, named_at, named_by) = (
            select newer.push_name, newer.named_at, newer.named_by
            from (
                select (
                    case
                        when known.named_at is null
                            or (excluded.named_at, excluded.named_by, excluded.push_name collate "C")
                               > (known.named_at, known.named_by, known.push_name collate "C")
                        then excluded else known
                    end
                ).*
            ) as newer
        ),
        (payload, described_at, described_by, described_sha256) = (
            select newer.payload, newer.described_at, newer.described_by, newer.described_sha256
            from (
                select (
                    case
                        when known.described_at is null
                            or (excluded.described_at, excluded.described_by, excluded.described_sha256)
                               > (known.described_at, known.described_by, known.described_sha256)
                        then excluded else known
                    end
                ).*
            ) as newer
        )
    returning new.jid, old.participant_id as old_participant_id, new.participant_id as new_participant_id
)
insert into staged_moves (jid, old_participant_id, new_participant_id)
select jid, old_participant_id, new_participant_id
from upserted
where old_participant_id <> new_participant_id;
