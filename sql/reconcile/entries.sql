-- Entries of the ledger that don't add up, or that have another number of lines in quarantine than there are.
select key, format('%%s lines, of which %%s loaded, %%s duplicates, %%s quarantined, %%s entries in quarantine',
                   lines, loaded, duplicates, landing_files.quarantined, put_aside)
from landing_files
left join lateral (
    select count(*) as put_aside from quarantined_events where landing_key = key and state <> 'loaded'
) as entries on true
where lines <> loaded + duplicates + landing_files.quarantined or landing_files.quarantined <> put_aside
order by key collate "C";
