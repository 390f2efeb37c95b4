-- The list of erasures is in the landing bucket; the database knows how far it has come with it.
create table erasure_state (
    one       boolean primary key default true check (one),
    announced timestamptz,
    applied   timestamptz,
    swept     timestamptz
);
insert into erasure_state default values;

comment on table erasure_state is 'one row: how far the tables are with the list of erasures in the landing bucket';
comment on column erasure_state.one is 'primary key, always true';
comment on column erasure_state.announced is 'the newest entry, or end of one, that loads must know: one that has read an older list stores nothing';
comment on column erasure_state.applied is 'the newest one that the tables show whole';
comment on column erasure_state.swept is 'when the last look through the landing zone began that came to its end';

-- Who looked at whom: exports of a person's data, entries of the quarantine that were shown with their content.
create table access_log (
    id        uuid primary key default uuidv7(),
    at        timestamptz not null default now(),
    by        text not null,
    action    text not null check (action in ('export', 'quarantine show')),
    subject   text not null,
    reference text
);

comment on table access_log is 'one row per look at somebody''s data that left the lake''s own protection';
comment on column access_log.id is 'primary key';
comment on column access_log.at is 'when';
comment on column access_log.by is 'who looked, as given, else the user of the machine';
comment on column access_log.action is '`export` or `quarantine show`';
comment on column access_log.subject is 'whose data: the HMAC of the person''s address by ERASURE_KEY, or the id of the entry of the quarantine';
comment on column access_log.reference is 'the request on whose word it was done';
