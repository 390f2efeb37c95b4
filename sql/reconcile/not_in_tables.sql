-- Landed lines of loaded files whose event is no row, and that aren't in quarantine.
select event_id::text, format('%%s:%%s', landing_key, line_number)
from landed_lines
where exists (select from landing_files where key = landing_key)
    and not exists (select from whatsapp_events where whatsapp_events.event_id = landed_lines.event_id)
    and not exists (
        select from quarantined_events as aside
        where aside.landing_key = landed_lines.landing_key and aside.line_number in (landed_lines.line_number, 0)
            and state <> 'loaded'
    )
order by 2;
