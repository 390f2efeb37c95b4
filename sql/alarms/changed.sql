-- Note a file whose bytes are others than those that were loaded.
insert into landing_alarms (key, kind, etag)
values (%(key)s, 'changed', %(etag)s)
on conflict (key) do update
set kind = 'changed', etag = excluded.etag, noted_at = now();
