-- What became of the landed lines: read, of those the doubtful ones, about which Postgres would have been asked, and put
-- aside, by reason.
select shows, reason, count(*) as lines, count_if(doubtful) as doubtful
from shown
where shows in ('line', 'aside')
group by shows, reason
order by shows desc, reason;
