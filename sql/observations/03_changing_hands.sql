-- Where a known address is about to follow another person, or a person another address, wait until no load is storing
-- events, which refer to people as they were.
select pg_advisory_xact_lock(7077062)
where exists (
    select
    from staged_owners
    join whatsapp_participant_jids using (jid)
    join whatsapp_participants on id = participant_id
    where external_jid <> owner_jid
);
