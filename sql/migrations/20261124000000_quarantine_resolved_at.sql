-- When a quarantined line was loaded after all, or discarded.

alter table quarantined_events add column resolved_at timestamptz;
