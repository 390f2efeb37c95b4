-- Every snapshot file that was noted.
select "table", date, bytes from snapshot_files;
