-- What of these landing files is in quarantine.
select landing_key, line_number from quarantined_events where landing_key = any(%(keys)b);
