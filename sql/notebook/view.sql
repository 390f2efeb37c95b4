-- A table's snapshots of one date or of all, with the date in their address as a column.
create view {table} as
select * from read_parquet({address}, hive_partitioning = true);
