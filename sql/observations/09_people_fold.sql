-- A person's name, description and first and last sight: the fold over its addresses, for everybody the batch touched.
with touched as (
    select participant_id from whatsapp_participant_jids join staged_jids using (jid)
    union
    select old_participant_id from staged_moves
),
folded as (
    select participant_id,
           min(first_seen_at) as first_seen_at,
           max(last_seen_at) as last_seen_at,
           (array_agg(push_name order by named_at desc, named_by desc, push_name collate "C" desc)
               filter (where push_name is not null))[1] as push_name,
           (array_agg(payload order by described_at desc, described_by desc, described_sha256 desc)
               filter (where payload is not null))[1] as payload
    from whatsapp_participant_jids
    join touched using (participant_id)
    group by participant_id
)
update whatsapp_participants as known
set push_name = folded.push_name, payload = folded.payload,
    first_seen_at = folded.first_seen_at, last_seen_at = folded.last_seen_at
from folded
where known.id = folded.participant_id
  and (known.push_name, known.payload, known.first_seen_at, known.last_seen_at)
      is distinct from (folded.push_name, folded.payload, folded.first_seen_at, folded.last_seen_at);
