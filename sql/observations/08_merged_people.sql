-- People left without an address were merged into others; what was linked to them goes along.
with merged as (
    delete from whatsapp_participants as gone
    using staged_moves
    where gone.id = old_participant_id
      and not exists (select from whatsapp_participant_jids where participant_id = gone.id)
    returning gone.identity_id, new_participant_id
)
update whatsapp_participants as kept
set identity_id = coalesce(kept.identity_id, merged.identity_id)
from merged
where kept.id = merged.new_participant_id and merged.identity_id is not null;
