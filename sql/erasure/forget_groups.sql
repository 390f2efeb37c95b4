-- These groups are forgotten, those of which no event is left.
delete from whatsapp_groups
where id = any(%(groups)s) and not exists (select from whatsapp_events where group_id = whatsapp_groups.id);
