-- Forget a snapshot file that the bucket doesn't have as it was noted: its date is stale then.
delete from snapshot_files where "table" = %(table)s and date = %(date)s and bytes = %(bytes)s;
