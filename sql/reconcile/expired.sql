-- What has expired and is still there, or there again; and the events that are left without their content.
with expired (below) as (select expired_below from erasure_state)
select 'landing files that have expired', count(*) from landed_files, expired where key collate "C" < below
union all
select 'entries of the ledger that have expired', count(*) from landing_files, expired where key collate "C" < below
union all
select 'events whose content has expired', count(*) from whatsapp_events, erasure_state where received_at < content_before;
