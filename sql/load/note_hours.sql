-- Note the UTC hours that have files which the ledger lacks.
insert into pending_hours (hour)
select unnest(%(hours)s::timestamptz[])
on conflict (hour) do update
set noted_at = excluded.noted_at;
