-- Put aside a line that can't be loaded, with its bytes.
insert into quarantined_events (landing_key, line_number, reason, detail, raw)
values (%(landing_key)s, %(line_number)s, %(reason)s, %(detail)s, %(raw)s)
on conflict (landing_key, line_number) do nothing;
