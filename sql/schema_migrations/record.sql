-- Record a migration as applied, in the transaction that applies it.
insert into schema_migrations (version) values (%(version)s);
