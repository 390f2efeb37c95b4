-- The tables that a load fills, with their keys, indexes and references and no other column than is asked of them:
-- what the ceiling copies into.
create table whatsapp_groups (
    id            uuid primary key default uuidv7(),
    external_jid  text not null unique,
    tenant_id     uuid,
    display_name  text,
    internal_name text,
    payload       jsonb,
    first_seen_at timestamptz not null,
    last_seen_at  timestamptz not null
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
    first_seen_at  timestamptz not null,
    last_seen_at   timestamptz not null
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
    landing_key       text not null,
    landing_line      integer not null
);
create index on whatsapp_events (type);
create index on whatsapp_events (type, occurred_at);
create index on whatsapp_events (group_id, occurred_at);
create index on whatsapp_events (participant_id, occurred_at);
