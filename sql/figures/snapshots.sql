-- The file of each table's newest UTC date, as it was noted.
select distinct on ("table") "table", date, rows, bytes, written_at from snapshot_files order by "table", date desc;
