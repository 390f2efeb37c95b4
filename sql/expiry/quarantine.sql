-- What is in quarantine of landing files that have expired: how many entries, and how many of them were open.
with gone as (
    delete from quarantined_events
    where landing_key collate "C" >= %(first)s and landing_key collate "C" < %(below)s
    returning state
)
select count(*), count(*) filter (where state = 'open') from gone;
