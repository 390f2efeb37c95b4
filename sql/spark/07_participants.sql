-- Every person: the fold over its addresses.
create or replace temporary view whatsapp_participants as
select id_of('whatsapp_participants', external_jid) as id, external_jid, naming.name as push_name,
       cast(null as string) as identity_id, describing.payload, first_seen_at, last_seen_at
from (
    select external_jid, max(naming) as naming, max(describing) as describing,
           min(first_seen_at) as first_seen_at, max(last_seen_at) as last_seen_at
    from addresses
    group by external_jid
);
