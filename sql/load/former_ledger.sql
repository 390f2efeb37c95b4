-- What the ledger and the events were before a rebuild. Run before they are emptied.
create temp table former_ledger on commit drop as
select key, sha256, loaded + duplicates as lines
from landing_files;

create temp table former_events on commit drop as
select count(*) as events from whatsapp_events;
