-- Forget the alarms of a stretch of keys whose files are as the ledger has them, or no longer in the ledger, or expired.
delete from landing_alarms
where key collate "C" > %(after)s and key collate "C" <= %(upto)s
    and (
        key collate "C" < coalesce((select expired_below from erasure_state), '')
        or not exists (
            select from landing_files
            left join unnest(%(keys)b::text[], %(sizes)b::bigint[], %(etags)b::text[])
                as listed (key, size, etag) using (key)
            where landing_files.key = landing_alarms.key
                and (
                    listed.key is null
                    or loaded + duplicates > 0
                        and (landing_files.size <> listed.size or landing_files.etag <> listed.etag)
                )
        )
    );
