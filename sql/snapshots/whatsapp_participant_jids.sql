-- Every address with its person as known now.
select {columns}
from whatsapp_participant_jids
order by jid
