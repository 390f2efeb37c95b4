-- The alarms of landing files that have expired.
delete from landing_alarms where key collate "C" < %(below)s;
