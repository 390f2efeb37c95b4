-- Since when the oldest change of the events' table waits for its snapshot, null where none does. Of a UTC date without a
-- current file that is when the first landing file that brought it an event since its file was written was loaded; where
-- none did (a merge of people, another body of an event), when the date's events changed last.
select min(least(
    uuid_extract_timestamp(day.revision),
    (select min(loaded_at) from landing_files
     where key collate "C" >= 'whatsapp/date=' || day.received_on
       and key collate "C" < 'whatsapp/date=' || day.received_on + 1
       and loaded > 0 and loaded_at > coalesce(file.written_at, '-infinity'))))
from event_days as day
left join snapshot_files as file on file."table" = 'whatsapp_events' and file.date = day.received_on
where day.received_on <= %(today)s and file.revision is distinct from day.revision::text;
