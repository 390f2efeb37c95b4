-- The newest file of the write-ahead log, how many files of it there are, and a moment that has just come: a whole second,
-- for that is all that is known of when a file was written.
with next as materialized (
    select date_trunc('second', clock_timestamp()) + interval '1 second' as moment
)
select pg_walfile_name(pg_current_wal_lsn()), (select count(*) from pg_ls_waldir()), moment
from next, pg_sleep(extract(epoch from moment - clock_timestamp()));
