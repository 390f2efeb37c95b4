-- Those of these addresses that the lake knows.
select jid from whatsapp_participant_jids where jid = any(%(jids)b);
