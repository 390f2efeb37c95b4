-- Keep what these events have that their bodies don't say.
insert into kept_events select * from whatsapp_events where event_id = any(%(event_ids)s::uuid[]);
