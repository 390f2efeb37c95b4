-- The dates before which everything has expired, and content has; null without.
select substring(expired_below from 'date=([0-9-]+)') as "all", (content_before at time zone 'UTC')::date::text as content
from erasure_state;
