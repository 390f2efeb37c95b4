-- Whose each LID is that was ever paired: its newest phone's.
create or replace temporary view owners as
select lid_jid, max_by(phone_jid, struct(observed_at, event_id, split_part(phone_jid, '@', 1))) as phone_jid
from whatsapp_jid_pairs
group by lid_jid;
