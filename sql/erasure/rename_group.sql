-- A group whose id holds somebody's number goes on under another one, unless that one is there already.
update whatsapp_groups
set external_jid = %(renamed)s
where id = %(id)s and not exists (select from whatsapp_groups where external_jid = %(renamed)s);
