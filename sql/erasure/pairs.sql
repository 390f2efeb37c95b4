-- Every pair in which one of these addresses stands, either way.
select lid_jid, phone_jid
from whatsapp_jid_pairs
where lid_jid = any(%(jids)b) or phone_jid = any(%(jids)b);
