-- How many of the events received since a moment are undecrypted placeholders, and how many there are.
select count(*) filter (where undecrypted), count(*)
from whatsapp_events
where received_at >= %(since)s;
