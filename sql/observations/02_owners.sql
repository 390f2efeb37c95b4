-- Whose each staged address is: a phone is its own person's, a LID its newest phone's, or its own while it has none.
insert into staged_owners (jid, owner_jid)
select jid, coalesce(newest.phone_jid, jid)
from staged_jids
left join lateral (
    select phone_jid
    from whatsapp_jid_pairs
    where lid_jid = jid
    order by observed_at desc, event_id desc, split_part(phone_jid, '@', 1) collate "C" desc
    limit 1
) as newest on true;
