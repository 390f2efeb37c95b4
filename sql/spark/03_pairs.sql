-- Each LID and phone shown as one person, with the newest time they were.
create or replace temporary view whatsapp_jid_pairs as
select lid_jid, phone_jid, newest.observed_at, newest.event_id
from (
    select lid_jid, phone_jid, max(struct(observed_at, event_id)) as newest
    from shown
    where shows = 'pair'
    group by lid_jid, phone_jid
);
