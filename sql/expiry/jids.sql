-- The addresses that were not seen since a moment.
delete from whatsapp_participant_jids where last_seen_at < %(before)s;
