-- Whether a UTC date has no events, and no file of them that was noted.
select not exists (select from event_days where received_on = %(date)s)
       and not exists (select from snapshot_files where "table" = 'whatsapp_events' and date = %(date)s);
