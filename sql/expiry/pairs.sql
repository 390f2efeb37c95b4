-- The pairs of which an address was not seen since a moment.
delete from whatsapp_jid_pairs as pair
where not exists (
        select from whatsapp_participant_jids where jid = lid_jid and last_seen_at >= %(before)s
    ) or not exists (
        select from whatsapp_participant_jids where jid = phone_jid and last_seen_at >= %(before)s
    );
