-- Every group as it is now.
select id::text, external_jid, tenant_id::text, display_name, internal_name, payload::text, first_seen_at, last_seen_at
from whatsapp_groups
order by external_jid
