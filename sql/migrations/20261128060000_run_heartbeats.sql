-- Which runs are at work, wherever their process is; and how much waits in an hour, so that a backlog becomes several runs.
create table run_heartbeats (
    run_id       text primary key,
    host         text,
    beaten_at    timestamptz not null default clock_timestamp(),
    silent_since timestamptz
);

comment on table run_heartbeats is 'One row per run of Dagster that is at work; its process renews it every 10 s.';
comment on column run_heartbeats.run_id is 'primary key; the run';
comment on column run_heartbeats.host is 'the host of the process that does the run''s work; null until it says so';
comment on column run_heartbeats.beaten_at is 'when the process renewed it last';
comment on column run_heartbeats.silent_since is 'when a look first found it not renewed for 20 s; null while it is';

alter table pending_hours add column bytes bigint;

comment on column pending_hours.bytes is 'the size of the files that wait; null where nobody has counted';
