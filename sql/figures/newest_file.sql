-- Of the loaded landing file with the greatest key, of hours before one: the key, when it was loaded, and by whom.
select key, loaded_at, run_id
from landing_files
where key collate "C" < %(before)s
order by key collate "C" desc
limit 1;
