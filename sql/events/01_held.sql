-- Hold the known events that are delivered again, in the order of their ids: from here on no load beside this one
-- changes their bodies, and none waits for this one while this one waits for it.
select
from whatsapp_events
where event_id in (select event_id from staged_events)
order by event_id
for no key update;
