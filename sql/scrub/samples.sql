-- Older samples of values, which the planner estimates with.
vacuum (full) pg_catalog.pg_statistic;
