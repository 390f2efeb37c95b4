-- Every address with the one that its person is known by, its newest name and description and its first and last sight.
create or replace temporary view addresses as
select jid, coalesce(owners.phone_jid, jid) as external_jid, first_seen_at, last_seen_at, naming, describing
from (
    select jid, min(first_seen_at) as first_seen_at, max(last_seen_at) as last_seen_at,
           max(struct(named_at, named_by, name)) filter (where named_at is not null) as naming,
           max(struct(described_at, described_by, described_sha256, payload))
               filter (where described_at is not null) as describing
    from shown
    where shows = 'address'
    group by jid
)
left join owners on lid_jid = jid;
