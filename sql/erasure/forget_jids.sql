-- These addresses are forgotten.
delete from whatsapp_participant_jids where jid = any(%(jids)b);
