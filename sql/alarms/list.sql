-- Every alarm.
select key, kind, noted_at from landing_alarms order by key collate "C";
