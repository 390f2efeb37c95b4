-- What was discarded of the given files: line numbers, 0 for a whole file.
select landing_key, line_number
from quarantined_events
where landing_key = any(%(keys)b) and state = 'discarded';
