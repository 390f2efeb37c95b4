-- The table of the migrations that were applied, as dbmate made it: one that it left is used as it is.
create table if not exists schema_migrations (version varchar primary key);
