-- What the lake knows of some addresses.
select jid, push_name, payload, first_seen_at, last_seen_at
from whatsapp_participant_jids
where jid = any(%(jids)b)
order by jid;
