-- What a row and a column are, for whoever looks with psql or another client: as the snapshots' schemas say it.
comment on table whatsapp_events is 'One row per event id, however often it was delivered.';
comment on column whatsapp_events.id is 'surrogate key; changes when the tables are rebuilt (UUID)';
comment on column whatsapp_events.event_id is 'id of the event, given by the collector; never changes (UUID)';
comment on column whatsapp_events.type is 'Baileys'' event name, such as messages.upsert; an open set (text)';
comment on column whatsapp_events.group_id is 'group of the event; null outside groups (UUID)';
comment on column whatsapp_events.chat_jid is 'address of the chat, as sent: a group, a person, a list (JID)';
comment on column whatsapp_events.participant_id is 'author, as known at state_at; null where the body shows none (UUID)';
comment on column whatsapp_events.participant_jid is 'author''s address, as the body shows it (JID)';
comment on column whatsapp_events.tenant_id is 'community; not set today (UUID)';
comment on column whatsapp_events.occurred_at is 'when it happened; null where the body has no time (microseconds, UTC)';
comment on column whatsapp_events.received_at is 'when its first delivery was received (microseconds, UTC)';
comment on column whatsapp_events.last_received_at is 'when its last delivery was received (microseconds, UTC)';
comment on column whatsapp_events.deliveries is 'number of its deliveries (landed lines)';
comment on column whatsapp_events.undecrypted is 'placeholder of a message not decrypted yet (true or false)';
comment on column whatsapp_events.payload is 'event as Baileys gave it; JSON null is the text null (JSON)';
comment on column whatsapp_events.payload_sanitized is 'NUL or lone surrogates became U+FFFD in payload (true or false)';
comment on column whatsapp_events.landing_key is 'landing file of the chosen body (object key)';
comment on column whatsapp_events.landing_line is 'number of its line in that file (lines, from 1)';

comment on table whatsapp_groups is 'One row per group.';
comment on column whatsapp_groups.id is 'surrogate key; changes when the tables are rebuilt (UUID)';
comment on column whatsapp_groups.external_jid is 'address of the group (JID)';
comment on column whatsapp_groups.tenant_id is 'community; not set today (UUID)';
comment on column whatsapp_groups.display_name is 'newest name; one with a time of its own comes before any other (text)';
comment on column whatsapp_groups.internal_name is 'name given by the community; not set today (text)';
comment on column whatsapp_groups.payload is 'newest full metadata, by the latest change that it names (JSON)';
comment on column whatsapp_groups.first_seen_at is 'when a line that names it was first received (microseconds, UTC)';
comment on column whatsapp_groups.last_seen_at is 'when a line that names it was last received (microseconds, UTC)';

comment on table whatsapp_participants is 'One row per person: a phone with its LIDs, or a LID that never showed its phone.';
comment on column whatsapp_participants.id is 'surrogate key; changes when the tables are rebuilt (UUID)';
comment on column whatsapp_participants.external_jid is 'phone once it is known, else LID (JID)';
comment on column whatsapp_participants.push_name is 'newest name among the person''s addresses (text)';
comment on column whatsapp_participants.identity_id is 'linked user of another system; not set today (UUID)';
comment on column whatsapp_participants.payload is 'newest contact or roster entry that describes the person (JSON)';
comment on column whatsapp_participants.first_seen_at is 'when a line that shows the person was first received (microseconds, UTC)';
comment on column whatsapp_participants.last_seen_at is 'when a line that shows the person was last received (microseconds, UTC)';

comment on table whatsapp_participant_jids is 'One row per address, a phone or a LID, with the person whose it is.';
comment on column whatsapp_participant_jids.jid is 'address: a phone or a LID (JID)';
comment on column whatsapp_participant_jids.participant_id is 'person whose address it is at state_at (UUID)';
comment on column whatsapp_participant_jids.push_name is 'newest name shown with it by the author of a message (text)';
comment on column whatsapp_participant_jids.first_seen_at is 'when a line that shows it was first received (microseconds, UTC)';
comment on column whatsapp_participant_jids.last_seen_at is 'when a line that shows it was last received (microseconds, UTC)';
