-- A table's snapshots of one date or of all, with the date in their address as a column. A file that was written before
-- a column came has nulls in it.
create view {table} as
select * from read_parquet({address}, hive_partitioning = true, union_by_name = true);
