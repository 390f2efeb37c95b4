-- Which types the events have that were received from one moment until another, the most frequent ones first.
select type, count(*)
from whatsapp_events
where received_at >= %(first)s and received_at < %(end)s
group by type
order by count(*) desc, type
limit 20;
