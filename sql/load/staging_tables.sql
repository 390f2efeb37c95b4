-- Staging tables, for the length of a transaction: further deliveries of known events, and what a batch of landing
-- files shows of people and groups.
create temp table if not exists staged_events (like whatsapp_events) on commit delete rows;
-- Wide rows stay in the page: compressing them for a table that lives for seconds costs more than it saves.
alter table staged_events set (toast_tuple_target = 8160);

create temp table if not exists staged_jids (
    jid              text primary key,
    first_seen_at    timestamptz not null,
    last_seen_at     timestamptz not null,
    push_name        text,
    named_at         timestamptz,
    named_by         uuid,
    described_at     timestamptz,
    described_by     uuid,
    described_sha256 bytea,
    payload          jsonb
) on commit delete rows;

create temp table if not exists staged_pairs (
    lid_jid     text not null,
    phone_jid   text not null,
    observed_at timestamptz not null,
    event_id    uuid not null
) on commit delete rows;

create temp table if not exists staged_groups (
    external_jid     text primary key,
    first_seen_at    timestamptz not null,
    last_seen_at     timestamptz not null,
    named_timed      boolean,
    display_name     text,
    named_at         timestamptz,
    named_by         uuid,
    changed_at       timestamptz,
    described_at     timestamptz,
    described_by     uuid,
    described_sha256 bytea,
    payload          jsonb
) on commit delete rows;

-- Filled by the steps: whose each staged address is, which addresses changed hands, which event ids have several
-- bodies, and the UTC dates whose events changed.
create temp table if not exists staged_owners (jid text primary key, owner_jid text not null) on commit delete rows;
create temp table if not exists staged_moves (
    jid text primary key, old_participant_id uuid not null, new_participant_id uuid not null
) on commit delete rows;
create temp table if not exists staged_contested (event_id uuid primary key) on commit delete rows;
create temp table if not exists staged_days (
    received_on date not null, only_redelivered boolean not null default false
) on commit delete rows;
