-- Events that were first received since a moment and that no landed line holds.
select event_id::text, format('%%s:%%s', landing_key, landing_line)
from whatsapp_events
where received_at >= %(since)s
    and not exists (select from landed_lines where landed_lines.event_id = whatsapp_events.event_id)
order by 2;
