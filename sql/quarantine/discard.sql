-- Mark open entries as not worth another try: who said so, and why.
update quarantined_events
set state = 'discarded', resolved_at = now(), resolved_by = %(by)s, resolved_reason = %(reason)s
where id = any(%(ids)s) and state = 'open'
returning id;
