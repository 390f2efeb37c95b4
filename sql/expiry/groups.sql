-- The groups that were not seen since a moment.
delete from whatsapp_groups
where last_seen_at < %(before)s
    and not exists (select from whatsapp_events where group_id = whatsapp_groups.id);
