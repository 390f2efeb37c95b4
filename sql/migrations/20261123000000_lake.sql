-- The lake's tables: what was landed, who and where it shows, what could not be loaded, and what has been loaded.

create table whatsapp_groups (
    id            uuid primary key default uuidv7(),
    external_jid  text not null unique,
    tenant_id     uuid,
    display_name  text,
    internal_name text,
    payload       jsonb,
    first_seen_at timestamptz not null,
    last_seen_at  timestamptz not null,
    -- which observation display_name and payload come from: the newest by (time, event id)
    named_at         timestamptz,
    named_by         uuid,
    described_at     timestamptz,
    described_by     uuid,
    described_sha256 bytea
);

create table whatsapp_participants (
    id            uuid primary key default uuidv7(),
    external_jid  text not null unique,
    push_name     text,
    identity_id   uuid,
    payload       jsonb,
    first_seen_at timestamptz not null,
    last_seen_at  timestamptz not null
);

create table whatsapp_participant_jids (
    jid            text primary key,
    participant_id uuid not null references whatsapp_participants,
    push_name      text,
    named_at       timestamptz,
    named_by       uuid,
    first_seen_at  timestamptz not null,
    last_seen_at   timestamptz not null
);
create index on whatsapp_participant_jids (participant_id);

-- Every LID and phone that one body showed as one person; the newest row of a LID decides whose it is.
create table whatsapp_jid_pairs (
    lid_jid     text not null,
    phone_jid   text not null,
    observed_at timestamptz not null,
    event_id    uuid not null,
    primary key (lid_jid, phone_jid)
);

create table whatsapp_events (
    id                uuid primary key default uuidv7(),
    event_id          uuid not null unique,
    type              text not null,
    group_id          uuid references whatsapp_groups,
    participant_id    uuid references whatsapp_participants,
    participant_jid   text,
    tenant_id         uuid,
    occurred_at       timestamptz,
    received_at       timestamptz not null,
    last_received_at  timestamptz not null,
    deliveries        integer not null,
    payload           jsonb not null,
    payload_sanitized boolean not null,
    -- the chosen body: which it is, when it was first received, and whether it is an undecryptable placeholder
    body_sha256       bytea not null,
    body_received_at  timestamptz not null,
    undecrypted       boolean not null,
    landing_key       text not null,
    landing_line      integer not null
);
create index on whatsapp_events (type);
create index on whatsapp_events (type, occurred_at);
create index on whatsapp_events (group_id, occurred_at);
create index on whatsapp_events (participant_id, occurred_at);
create index on whatsapp_events using brin (received_at);

-- Where the other bodies of an event id are landed, those that weren't chosen.
create table whatsapp_event_revisions (
    event_id     uuid not null references whatsapp_events (event_id),
    body_sha256  bytea not null,
    undecrypted  boolean not null,
    received_at  timestamptz not null,
    landing_key  text not null,
    landing_line integer not null,
    primary key (event_id, body_sha256)
);

-- Which change of the events received on a UTC date was the last: a snapshot that holds the same revision is current.
create table event_days (
    received_on date primary key,
    revision    uuid not null default uuidv7()
);

create table landing_files (
    key         text primary key,
    etag        text,
    size        bigint not null,
    lines       integer not null,
    loaded      integer not null,
    duplicates  integer not null,
    quarantined integer not null,
    loaded_at   timestamptz not null default now(),
    run_id      text
);

create table quarantined_events (
    id              uuid primary key default uuidv7(),
    landing_key     text not null,
    line_number     integer not null,
    reason          text not null,
    detail          text not null,
    raw             bytea not null,
    first_seen      timestamptz not null default now(),
    attempts        integer not null default 1,
    state           text not null default 'open' check (state in ('open', 'loaded', 'discarded')),
    resolved_by     text,
    resolved_reason text,
    unique (landing_key, line_number)
);
