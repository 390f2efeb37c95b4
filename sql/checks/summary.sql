-- Of the events received on the last whole UTC date: lines that brought one, rows, rows of the Parquet file; and what is
-- open in quarantine.
select (select coalesce(sum(loaded), 0) from landing_files
        where key collate "C" >= 'whatsapp/date=' || day and key collate "C" < 'whatsapp/date=' || day + 1)::bigint,
       (select count(*) from whatsapp_events
        where received_at >= day::timestamp at time zone 'UTC' and received_at < (day + 1)::timestamp at time zone 'UTC'),
       (select coalesce(max(rows), 0) from snapshot_files where "table" = 'whatsapp_events' and date = day),
       (select count(*) from quarantined_events where state = 'open')
from (select (now() at time zone 'UTC')::date - 1 as day) as yesterday;
