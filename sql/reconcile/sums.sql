-- Sums of the ledger that aren't those of the events.
with ledger as (
    select coalesce(sum(loaded), 0) as loaded, coalesce(sum(loaded + duplicates), 0) as lines from landing_files
), tables as (
    select count(*) as events, coalesce(sum(deliveries), 0) as deliveries from whatsapp_events
)
select 'loaded', format('%%s lines brought an event, and there are %%s events', loaded, events)
from ledger, tables where loaded <> events
union all
select 'deliveries', format('%%s lines were loaded, and the events count %%s deliveries', lines, deliveries)
from ledger, tables where lines <> deliveries;
