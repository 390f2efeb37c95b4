-- How many rows the files of a table have.
select coalesce(sum(rows), 0)::bigint from snapshot_files where "table" = %(table)s;
