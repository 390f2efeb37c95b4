-- A payload is written anew where its landing file can't be read.
update whatsapp_events set payload = %(payload)s where event_id = %(event_id)s;
