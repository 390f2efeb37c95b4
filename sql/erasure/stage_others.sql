-- The other addresses of these people are looked at again: whose they are now, and what is known of those people.
insert into staged_jids (jid, first_seen_at, last_seen_at)
select jid, first_seen_at, last_seen_at
from whatsapp_participant_jids
where participant_id = any(%(participants)s);
