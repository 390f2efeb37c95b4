-- Which payloads jsonb refuses, by their places from 1, and why.
select place, sql_error_code || ' ' || message
from unnest(%(payloads)s::text[]) with ordinality as staged (payload, place), pg_input_error_info(payload, 'jsonb')
where sql_error_code is not null;
