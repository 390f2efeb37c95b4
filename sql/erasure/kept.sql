-- What events have that their bodies don't say, while they are stored anew.
create temp table if not exists kept_events (like whatsapp_events) on commit drop;
truncate kept_events;
