-- Put aside a line that can't be loaded, or a file as a whole, with its bytes. One that was loaded since, by a retry,
-- or its file given back to the loader, and now fails is open again; what was discarded stays so.
insert into quarantined_events as known (landing_key, line_number, reason, detail, raw)
values (%(landing_key)s, %(line_number)s, %(reason)s, %(detail)s, %(raw)s)
on conflict (landing_key, line_number) do update
set reason = excluded.reason, detail = excluded.detail, raw = excluded.raw,
    state = 'open', resolved_by = null, resolved_reason = null, resolved_at = null
where known.state = 'loaded';
