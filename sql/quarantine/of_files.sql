-- What of some landing files is in quarantine.
select landing_key, line_number, state, reason, id::text
from quarantined_events
where landing_key = any(%(keys)s);
