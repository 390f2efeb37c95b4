-- Every address with its person.
create or replace temporary view whatsapp_participant_jids as
select jid, id_of('whatsapp_participants', external_jid) as participant_id, naming.name as push_name,
       first_seen_at, last_seen_at, naming.named_at, naming.named_by,
       describing.payload, describing.described_at, describing.described_by, describing.described_sha256
from addresses;
