-- Landing files that aren't what the ledger says of them. One that was put aside whole counts as one line there.
select key, format('it has %%s lines, and the ledger %%s', landed.lines, entry.lines)
from landed_files as landed join landing_files as entry using (key)
where landed.lines <> entry.lines and not (entry.lines = 1 and entry.quarantined = 1)
union all
select key, 'its digest isn''t the ledger''s'
from landed_files as landed join landing_files as entry using (key)
where landed.sha256 <> entry.sha256 and loaded + duplicates > 0
order by 1;
