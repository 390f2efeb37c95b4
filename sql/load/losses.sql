-- Record what a rebuild ended without: for each landing file the lines that were rows and aren't any more, and of the
-- events what no file accounts for. What has expired is no loss. Return how many lines or events those are.
with expired as (
    select coalesce(sum(lines), 0) as lines
    from former_ledger
    where key collate "C" < coalesce((select expired_below from erasure_state), '')
), lost as (
    select former.key, former.sha256,
           former.lines - case when former.sha256 <> present.sha256 then 0
                               else coalesce(present.loaded + present.duplicates, 0) end as lines
    from former_ledger as former left join landing_files as present using (key)
    where former.key collate "C" >= coalesce((select expired_below from erasure_state), '')
), unaccounted as (
    select 'whatsapp_events' as key, null as sha256,
           greatest(0, (select events from former_events) - (select count(*) from whatsapp_events)
                       - (select coalesce(sum(lines), 0) from lost where lines > 0)
                       - (select lines from expired)) as lines
), recorded as (
    insert into landing_losses (key, lines, sha256, accepted_by, reason)
    select key, lines, sha256, %(by)s, %(reason)s
    from (select * from lost union all select * from unaccounted) as each
    where lines > 0
    order by key collate "C"
    returning lines
)
select coalesce(sum(lines), 0)::bigint from recorded;
