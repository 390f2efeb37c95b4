-- References to what isn't there, and phones that aren't their own person's row.
select event_id::text, 'its landing file ' || landing_key || ' isn''t in the ledger'
from whatsapp_events where not exists (select from landing_files where key = landing_key)
union all
select event_id::text, 'its person isn''t there'
from whatsapp_events
where participant_id is not null and not exists (select from whatsapp_participants where id = participant_id)
union all
select event_id::text, 'its group isn''t there'
from whatsapp_events where group_id is not null and not exists (select from whatsapp_groups where id = group_id)
union all
select event_id::text, 'a revision of an event that isn''t there'
from whatsapp_event_revisions as revision
where not exists (select from whatsapp_events where whatsapp_events.event_id = revision.event_id)
union all
select id::text, 'an open entry of the quarantine, whose file ' || landing_key || ' isn''t in the ledger'
from quarantined_events where state = 'open' and not exists (select from landing_files where key = landing_key)
union all
select participant_id::text, 'an address or phone of a person that isn''t there, or is another''s'
from whatsapp_participant_jids left join whatsapp_participants on id = participant_id
where external_jid is null or (jid like '%%@s.whatsapp.net' and external_jid <> jid);
