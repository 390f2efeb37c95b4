-- The ledger's entry of one landing file.
insert into landing_files (key, etag, size, lines, loaded, duplicates, quarantined, run_id)
values (%(key)s, %(etag)s, %(size)s, %(lines)s, %(loaded)s, %(duplicates)s, %(quarantined)s, %(run_id)s);
