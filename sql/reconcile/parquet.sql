-- Ids of a table, or of its rows received on a date, that its Parquet file lacks, or has beyond them.
with ids as (select {id}::text as id from {table} where {condition})
select id, 'is in the table, not in the file' from ids where not exists (select from parquet_ids where parquet_ids.id = ids.id)
union all
select id, 'is in the file, not in the table' from parquet_ids where not exists (select from ids where ids.id = parquet_ids.id)
order by 1;
