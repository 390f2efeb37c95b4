-- The list of erasures is in the landing bucket; the database knows how far it has come with it.
create table erasure_state (
    one       boolean primary key default true check (one),
    announced timestamptz,
    applied   timestamptz
);
insert into erasure_state default values;

comment on table erasure_state is 'one row: how far the tables are with the list of erasures in the landing bucket';
comment on column erasure_state.one is 'primary key, always true';
comment on column erasure_state.announced is 'the newest entry, or end of one, that loads must know: one that has read an older list stores nothing';
comment on column erasure_state.applied is 'the newest one that the tables show whole';
