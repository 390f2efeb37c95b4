-- What the ledger and the tables hold.
select (select count(*) from landing_files) as landed_files,
       (select coalesce(sum(lines), 0)::bigint from landing_files) as landed_events,
       (select coalesce(sum(loaded + duplicates), 0)::bigint from landing_files) as loaded_events,
       (select coalesce(sum(quarantined), 0)::bigint from landing_files) as quarantined,
       (select count(*) from whatsapp_groups) as whatsapp_groups,
       (select count(*) from whatsapp_participants) as whatsapp_participants,
       (select count(*) from whatsapp_events) as whatsapp_events
