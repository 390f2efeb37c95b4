-- Whose the addresses are, as a binary COPY writes it.
select jid, uuid_send(participant_id) from whatsapp_participant_jids where jid = any(%(jids)b);
