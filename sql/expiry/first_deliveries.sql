-- As many lines of a landing file as were duplicates bring an event now, for the one that brought it before has expired.
update landing_files
set loaded = loaded + least(%(lines)s, duplicates), duplicates = duplicates - least(%(lines)s, duplicates)
where key = %(key)s
returning new.loaded - old.loaded;
