-- Every person as known now.
select {columns}
from whatsapp_participants
order by external_jid
