-- The ledger knows the landing zone both ways: which bytes were loaded, what is missing or changed since, and what was
-- given up, which outlives rebuilds.

alter table landing_files add column sha256 text;
-- Later than when the file was listed, even where a transaction takes long.
alter table landing_files alter column loaded_at set default clock_timestamp();
-- For stretches of keys, in the order in which a store lists them.
create index on landing_files (key collate "C");

create table landing_alarms (
    key      text primary key,
    kind     text not null check (kind in ('missing', 'changed')),
    etag     text,  -- of a changed file, which isn't fetched again while it stays the same
    noted_at timestamptz not null default now()
);

create table landing_losses (
    id          uuid primary key default uuidv7(),
    key         text not null,
    lines       integer not null,
    sha256      text,
    noted_at    timestamptz not null default now(),
    accepted_by text not null,
    reason      text not null
);

-- On which UTC date events of a past date were delivered again and nothing else changed: their number of deliveries is in
-- no snapshot before the next UTC date, so that a replay keeps nothing busy.
alter table event_days add column redelivered_on date;

-- What names the last change of groups, people and addresses.
create table state_revision (
    one      boolean primary key default true check (one),
    revision uuid not null default uuidv7()
);
insert into state_revision default values;
