-- Copy rows into a table, as ready to be stored as pipelines/loading makes them.
copy {table} ({columns}) from stdin (format binary);
