-- Room in the pages of what every load updates, so that an update stays in its page and leaves the indexes alone.

alter table whatsapp_participants set (fillfactor = 70);
alter table whatsapp_participant_jids set (fillfactor = 70);
alter table whatsapp_groups set (fillfactor = 70);
