-- Every group as it is now.
select {columns}
from whatsapp_groups
order by external_jid
