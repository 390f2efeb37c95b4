-- The events of a UTC date, read from the attached database and sorted by DuckDB, as sql/snapshots/whatsapp_events.sql
-- has them.
copy (
    select events.id::varchar as id, event_id::varchar as event_id, type, group_id::varchar as group_id,
           external_jid as group_jid, participant_id::varchar as participant_id, participant_jid,
           events.tenant_id::varchar as tenant_id, occurred_at, received_at, last_received_at, deliveries, undecrypted,
           events.payload::varchar as payload, payload_sanitized, landing_key, landing_line
    from lake.public.whatsapp_events as events
    left join lake.public.whatsapp_groups on whatsapp_groups.id = group_id
    where received_at >= timestamptz '{date} 00:00:00+00' and received_at < timestamptz '{date} 00:00:00+00' + interval '1 day'
    order by date_trunc('hour', received_at), group_jid nulls last, received_at, event_id
) to '{file}' (format parquet, compression zstd, compression_level 1)
