-- What became of an entry that was tried again.
update quarantined_events
set attempts = attempts + 1,
    state = case when %(reason)s::text is null then 'loaded' else 'open' end,
    reason = coalesce(%(reason)s, reason),
    detail = coalesce(%(detail)s, detail),
    resolved_at = case when %(reason)s::text is null then now() end
where id = %(id)s;
