-- Forget a run that has ended.
delete from run_heartbeats where run_id = %(run)s;
