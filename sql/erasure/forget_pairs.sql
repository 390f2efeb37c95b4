-- These pairs are forgotten.
delete from whatsapp_jid_pairs
using unnest(%(lids)b::text[], %(phones)b::text[]) as gone (lid_jid, phone_jid)
where whatsapp_jid_pairs.lid_jid = gone.lid_jid and whatsapp_jid_pairs.phone_jid = gone.phone_jid;
