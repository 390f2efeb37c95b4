-- Events whose author shows only an address that changed hands follow it. Their dates are marked changed for a week:
-- older snapshots still say the same through participant_jid and the snapshot of the addresses.
with moved as (
    update whatsapp_events
    set participant_id = new_participant_id
    from staged_moves
    where participant_id = old_participant_id and participant_jid = jid
    returning (received_at at time zone 'UTC')::date as received_on
)
insert into staged_days (received_on)
select distinct received_on
from moved
where received_on > (now() at time zone 'UTC')::date - 7;
