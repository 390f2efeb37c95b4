-- Wait until nobody else writes this UTC date's snapshots; held until the session ends, so that a file and its entry in
-- snapshot_files are always those of one writer.
select pg_advisory_lock(7077063, %(date)s::date - date '2000-01-01');
