-- Every person as known now.
select id::text, external_jid, push_name, identity_id::text, payload::text, first_seen_at, last_seen_at
from whatsapp_participants
order by external_jid
