-- Where the other bodies of an event are landed.
select encode(body_sha256, 'hex') as body_sha256, landing_key, landing_line
from whatsapp_event_revisions
where event_id = %(event_id)s
order by received_at;
