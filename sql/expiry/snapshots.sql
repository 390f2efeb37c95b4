-- The snapshot files of dates before one: nobody looks for them any more.
delete from snapshot_files where date < %(until)s;
