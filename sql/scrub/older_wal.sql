-- How many files of the write-ahead log are from before a mark: those up to its file, and those to come that nobody has
-- written since, which are older ones under other names.
select count(*) from pg_ls_waldir()
where (name collate "C" <= %(file)s and name ~ '^[0-9A-F]{24}$') or (modification < %(moment)s and name ~ '^[0-9A-F]{24}$');
