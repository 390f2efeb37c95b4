-- Which revision each of a UTC date's files shows.
select "table", revision from snapshot_files where date = %(date)s;
