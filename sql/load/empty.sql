-- Everything that loading makes, but for what somebody discarded. Deleted, not truncated: others read on meanwhile.
delete from whatsapp_event_revisions;
delete from whatsapp_events;
delete from whatsapp_participant_jids;
delete from whatsapp_jid_pairs;
delete from whatsapp_participants;
delete from whatsapp_groups;
delete from landing_files;
delete from landing_alarms;
delete from quarantined_events where state <> 'discarded';
update event_days set revision = default, redelivered_on = null;
update state_revision set revision = default;
