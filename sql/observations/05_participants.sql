-- New people; their names and times are folded from their addresses later on.
insert into whatsapp_participants (external_jid, first_seen_at, last_seen_at)
select owner_jid, min(first_seen_at), max(last_seen_at)
from staged_owners
join staged_jids using (jid)
where not exists (select from whatsapp_participants where external_jid = owner_jid)
group by owner_jid
order by owner_jid;
