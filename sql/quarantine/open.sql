-- The open ones of these entries, as they are once nobody else works on them; none is discarded while it is tried.
select id, landing_key, line_number, raw
from quarantined_events
where id = any(%(ids)s) and state = 'open'
order by landing_key collate "C", line_number
for no key update;
