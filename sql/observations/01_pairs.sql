-- Remember each LID and phone shown as one person, with the newest time they were.
insert into whatsapp_jid_pairs as known (lid_jid, phone_jid, observed_at, event_id)
select lid_jid, phone_jid, observed_at, event_id
from staged_pairs
order by lid_jid, phone_jid
on conflict (lid_jid, phone_jid) do update
set (observed_at, event_id) = (excluded.observed_at, excluded.event_id)
where (excluded.observed_at, excluded.event_id) > (known.observed_at, known.event_id);
