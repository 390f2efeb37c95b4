-- Note that a snapshot file was put.
insert into snapshot_files ("table", date, revision, rows, bytes)
values (%(table)s, %(day)s, %(revision)s, %(rows)s, %(bytes)s)
on conflict ("table", date) do update
set revision = excluded.revision, rows = excluded.rows, bytes = excluded.bytes, written_at = excluded.written_at;
