-- What is in quarantine of landing files of keys below one, in the order of their bytes.
select id::text, landing_key, line_number, raw from quarantined_events where landing_key collate "C" < %(below)s;
