-- Note the UTC hours that have files which the ledger lacks, with the size of these files.
insert into pending_hours (hour, bytes)
select * from unnest(%(hours)s::timestamptz[], %(bytes)s::bigint[])
on conflict (hour) do update
set noted_at = excluded.noted_at, bytes = coalesce(excluded.bytes, pending_hours.bytes);
