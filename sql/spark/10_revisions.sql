-- Where every other body of an event was landed first.
create or replace temporary view whatsapp_event_revisions as
select event_id, body_sha256, undecrypted, first.received_at, first.landing_key, first.landing_line
from (
    select *, row_number() over (partition by event_id order by undecrypted, first.received_at, body_sha256) as place
    from (
        select event_id, body_sha256, undecrypted, min(struct(received_at, landing_key, landing_line)) as first
        from shown
        where shows = 'line'
        group by event_id, body_sha256, undecrypted
    )
)
where place > 1;
