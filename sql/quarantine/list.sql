-- What is in quarantine, without its content.
select id, state, reason, detail, landing_key, line_number, octet_length(raw) as bytes,
       first_seen, attempts, resolved_at, resolved_by, resolved_reason
from quarantined_events
where state = coalesce(%(state)s, state) and reason = coalesce(%(reason)s, reason)
order by first_seen, landing_key collate "C", line_number;
