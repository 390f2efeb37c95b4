-- Every group's address.
select id, external_jid, first_seen_at from whatsapp_groups;
