-- Whose addresses were not seen since a moment.
select distinct participant_id from whatsapp_participant_jids where last_seen_at < %(before)s;
