-- Past dates whose events were delivered again before today have changed: once, however often that was.
update event_days
set revision = default, redelivered_on = null
where redelivered_on < %(today)s;
