-- Every address with its person, and when it was seen.
select jid, participant_id, first_seen_at, last_seen_at from whatsapp_participant_jids;
