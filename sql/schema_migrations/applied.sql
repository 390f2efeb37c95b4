-- The migrations that were applied: one version per row, the number at the start of a file's name.
select version from schema_migrations order by version;
