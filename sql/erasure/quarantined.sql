-- An entry of the quarantine holds what its line holds now.
update quarantined_events
set raw = %(raw)s, detail = coalesce(%(detail)s, detail)
where landing_key = %(key)s and line_number = %(line)s
    and (raw is distinct from %(raw)s or detail is distinct from coalesce(%(detail)s, detail));
