-- What is known of listings, so that no tick has to list what grows with age: hours that wait for a load, when the whole
-- landing zone was listed last, and which revision each snapshot file shows.

create table pending_hours (
    hour     timestamptz primary key,
    noted_at timestamptz not null default now()
);

create table landing_listings (
    finished_at timestamptz primary key default now(),
    files       bigint not null,
    pending     bigint not null
);

create table snapshot_files (
    "table"    text not null,
    date       date not null,
    revision   text not null,
    rows       bigint not null,
    bytes      bigint not null,
    written_at timestamptz not null default now(),
    primary key ("table", date)
);
