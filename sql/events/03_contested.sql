-- Event ids with a body other than their chosen one.
insert into staged_contested (event_id)
select distinct event_id
from staged_events
join whatsapp_events as known using (event_id)
where staged_events.body_sha256 <> known.body_sha256;
