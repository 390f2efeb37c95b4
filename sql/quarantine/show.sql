-- One entry of the quarantine, its content included.
select id, state, reason, detail, landing_key, line_number, octet_length(raw) as bytes,
       first_seen, attempts, resolved_at, resolved_by, resolved_reason, raw
from quarantined_events
where id = %(id)s;
