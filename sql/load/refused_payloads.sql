-- Which payloads Postgres can't hold, or could never give back, by their places from 1, and why: jsonb refuses them, or
-- their text is too long for whoever reads it, since jsonb writes numbers out: 1e308 has 309 digits.
select place, coalesce(sql_error_code || ' ' || message, '54000 its text would have more than 64 MiB')
from unnest(%(payloads)s::text[]) with ordinality as staged (payload, place), pg_input_error_info(payload, 'jsonb')
where case when sql_error_code is null then octet_length(payload::jsonb::text) > 64 << 20 else true end;
