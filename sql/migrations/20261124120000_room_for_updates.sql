-- Room in the pages of what every load updates, so that an update stays in its page and leaves the indexes alone.
-- migrate:up

alter table whatsapp_participants set (fillfactor = 70);
alter table whatsapp_participant_jids set (fillfactor = 70);
alter table whatsapp_groups set (fillfactor = 70);

-- migrate:down

alter table whatsapp_groups reset (fillfactor);
alter table whatsapp_participant_jids reset (fillfactor);
alter table whatsapp_participants reset (fillfactor);
