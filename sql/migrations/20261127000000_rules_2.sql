-- What the second version of the rules keeps: an event's chat, the object that describes a person, since when a group has
-- its name and metadata, and by which version of the rules a landing file was loaded.

alter table whatsapp_events add column chat_jid text;

alter table whatsapp_participant_jids
    add column payload jsonb,
    add column described_at timestamptz,
    add column described_by uuid,
    add column described_sha256 bytea;

alter table whatsapp_groups
    add column named_timed boolean,
    add column changed_at timestamptz;
update whatsapp_groups set named_timed = false where display_name is not null;
update whatsapp_groups set changed_at = 'epoch' where payload is not null;

alter table landing_files add column rules integer not null default 1;
create index on landing_files (rules);
