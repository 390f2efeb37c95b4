-- Every address with its person as known now.
select jid, participant_id::text, push_name, first_seen_at, last_seen_at
from whatsapp_participant_jids
order by jid
