-- A person known by a LID alone keeps its row when the phone becomes known, unless somebody has that phone already.
update whatsapp_participants as known
set external_jid = renamed.owner_jid
from (
    select distinct on (owner_jid) jid, owner_jid
    from staged_owners
    where jid <> owner_jid
      and exists (select from whatsapp_participants where external_jid = jid)
      and not exists (select from whatsapp_participants where external_jid = owner_jid)
    order by owner_jid, jid
) as renamed
where known.external_jid = renamed.jid;
