-- Every pair that an event showed which was received before this moment, or of which nothing is known.
select lid_jid, phone_jid
from whatsapp_jid_pairs left join whatsapp_events using (event_id)
where received_at is null or %(until)s::timestamptz is null or received_at < %(until)s;
