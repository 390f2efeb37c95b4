-- Names and descriptions that come from a body that was written anew say what it says now: the observation is the same.
update whatsapp_groups as known
set display_name = staged.display_name
from staged_groups as staged
where known.external_jid = staged.external_jid
    and (known.named_by, known.named_at) = (staged.named_by, staged.named_at)
    and known.display_name is distinct from staged.display_name;

update whatsapp_groups as known
set payload = staged.payload, described_sha256 = staged.described_sha256
from staged_groups as staged
where known.external_jid = staged.external_jid
    and (known.described_by, known.described_at) = (staged.described_by, staged.described_at)
    and known.described_sha256 <> staged.described_sha256;

update whatsapp_participant_jids as known
set push_name = staged.push_name
from staged_jids as staged
where known.jid = staged.jid
    and (known.named_by, known.named_at) = (staged.named_by, staged.named_at)
    and known.push_name is distinct from staged.push_name;

update whatsapp_participant_jids as known
set payload = staged.payload, described_sha256 = staged.described_sha256
from staged_jids as staged
where known.jid = staged.jid
    and (known.described_by, known.described_at) = (staged.described_by, staged.described_at)
    and known.described_sha256 <> staged.described_sha256;
