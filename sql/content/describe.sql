-- What describes a group is written anew.
update whatsapp_groups
set payload = %(payload)s, described_sha256 = %(sha256)s
where id = %(id)s;
