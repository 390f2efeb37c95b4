-- A file that was put aside as a whole is new again: the next load reads it.
delete from landing_files
where key = %(key)s;
