-- Those that go on by what was delivered since have not expired.
delete from expired_events using whatsapp_events where whatsapp_events.event_id = expired_events.event_id;
