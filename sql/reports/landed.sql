-- What landed from one hour on and was loaded: files, lines, bytes.
select count(*), coalesce(sum(lines), 0)::bigint, coalesce(sum(size), 0)::bigint
from landing_files
where key collate "C" >= %(first)s;
