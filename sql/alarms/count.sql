-- How many files are missing, and how many changed.
select count(*) filter (where kind = 'missing'), count(*) filter (where kind = 'changed') from landing_alarms;
