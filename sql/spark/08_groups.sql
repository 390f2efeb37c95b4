-- Groups with their name, their full metadata and their first and last sight. A name with a time of its own comes before
-- any other, then the newest; a metadata that names a later change before any other, then the newest received.
create or replace temporary view whatsapp_groups as
select id_of('whatsapp_groups', jid) as id, jid as external_jid, cast(null as string) as tenant_id,
       naming.name as display_name, cast(null as string) as internal_name, describing.payload,
       first_seen_at, last_seen_at, naming.named_timed, naming.named_at, naming.named_by,
       describing.changed_at, describing.described_at, describing.described_by, describing.described_sha256
from (
    select jid, min(first_seen_at) as first_seen_at, max(last_seen_at) as last_seen_at,
           max(struct(named_timed, named_at, named_by, name)) filter (where named_at is not null) as naming,
           max(struct(changed_at, described_at, described_by, described_sha256, payload))
               filter (where described_at is not null) as describing
    from shown
    where shows = 'group'
    group by jid
);
