-- The groups of the addresses, as a binary COPY writes them.
select external_jid, uuid_send(id) from whatsapp_groups where external_jid = any(%(jids)b);
