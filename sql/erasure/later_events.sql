-- The events of a group that were received since a moment.
select event_id::text from whatsapp_events where group_id = %(id)s and received_at >= %(until)s;
