-- Nobody's events, until it is known whose they are now.
update whatsapp_events
set participant_id = null
where participant_id = any(%(participants)s)
    and not exists (
        select from whatsapp_participant_jids
        where whatsapp_participant_jids.participant_id = whatsapp_events.participant_id
    );
