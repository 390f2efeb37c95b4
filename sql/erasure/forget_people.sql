-- People without an address are forgotten.
delete from whatsapp_participants
where id = any(%(participants)s)
    and not exists (select from whatsapp_participant_jids where participant_id = id);
