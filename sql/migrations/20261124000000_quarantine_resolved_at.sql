-- When a quarantined line was loaded after all, or discarded.
-- migrate:up

alter table quarantined_events add column resolved_at timestamptz;

-- migrate:down

alter table quarantined_events drop column resolved_at;
