-- Views over the events: the messages, and who came to and went from groups, with the functions that read payloads, and an
-- index by the message that an edit, a revoke, a reaction or a copy is about. A later migration that changes a column which
-- they read drops them first and makes them again.

-- Values. Whatever a payload holds, a function gives null for what isn't there or isn't of the kind, never an error.

create function wpp_text(value jsonb) returns text immutable parallel safe
return case jsonb_typeof(value) when 'string' then nullif(value #>> '{}', '') end;

-- An id by which events are joined, and indexed: WhatsApp's have some 20 to 40 characters, and an index' entry has its bound.
create function wpp_id(value jsonb) returns text immutable parallel safe
return case when length(wpp_text(value)) <= 200 then wpp_text(value) end;

create function wpp_flag(value jsonb) returns boolean immutable parallel safe
return case jsonb_typeof(value) when 'boolean' then value = 'true' end;

-- A whole number: a number, its digits as a string, or protobuf's Long {low, high}, whose lower half is signed.
create function wpp_number(value jsonb) returns bigint immutable parallel safe
return case
    when jsonb_typeof(value) in ('number', 'string')
        then cast(substring(value #>> '{}' from '^[0-9]{1,18}$') as bigint)
    when jsonb_typeof(value) = 'object'
        then cast(substring(value ->> 'high' from '^[0-9]{1,6}$') as bigint) * 4294967296
            + (cast(substring(value ->> 'low' from '^-?[0-9]{1,10}$') as bigint) & 4294967295)
end;

-- A time of seconds, milliseconds or microseconds: the unit is the one that puts it between 2009 and 2100.
create function wpp_moment(value jsonb) returns timestamptz immutable parallel safe
return case
    when wpp_number(value) between 1230768000 and 4102444799
        then timestamptz '1970-01-01 00:00:00+00' + wpp_number(value) * interval '1 second'
    when wpp_number(value) between 1230768000000 and 4102444799999
        then timestamptz '1970-01-01 00:00:00+00' + wpp_number(value) * interval '1 millisecond'
    when wpp_number(value) between 1230768000000000 and 4102444799999999
        then timestamptz '1970-01-01 00:00:00+00' + wpp_number(value) * interval '1 microsecond'
end;

-- The time on a clock where wpp_lake.time_zone says, a setting of the session, the role or the database.
create function wpp_local(moment timestamptz) returns timestamp stable parallel safe
return timezone(coalesce(nullif(current_setting('wpp_lake.time_zone', true), ''), 'America/Sao_Paulo'), moment);

-- A person's address without device or agent, as whatsapp_participant_jids has it.
create function wpp_jid(address text) returns text immutable parallel safe
return substring(
        address from '^([0-9]{5,20})(?:[._][0-9]+)?(?::[0-9]+)?@(?:s\.whatsapp\.net|c\.us|hosted|lid|hosted\.lid)$'
    ) || case when address like '%lid' then '@lid' else '@s.whatsapp.net' end;

create function wpp_jids(addresses jsonb) returns text[] immutable parallel safe
return array(
    select wpp_jid(wpp_text(address))
    from jsonb_array_elements(case jsonb_typeof(addresses) when 'array' then addresses end)
        with ordinality as listed (address, place)
    where wpp_jid(wpp_text(address)) is not null
    order by place
);

-- Messages.

create function wpp_chat(payload jsonb) returns text immutable parallel safe
return coalesce(wpp_text(payload -> 'key' -> 'remoteJid'), wpp_text(payload -> 'id'));

create function wpp_is_no_stub(payload jsonb) returns boolean immutable parallel safe
return coalesce(payload ->> 'messageStubType', '0') in ('0', 'UNKNOWN');

-- The content within up to five wrappers, such as that of a message which disappears. PL/pgSQL calls no function of ours,
-- so that its body needs no search path.
create function wpp_inside(message jsonb) returns jsonb language plpgsql immutable parallel safe
as $$
declare
    wrappers constant text[] := array[
        'associatedChildMessage', 'botInvokeMessage', 'botTaskMessage', 'commentMessage', 'deviceSentMessage',
        'documentWithCaptionMessage', 'editedMessage', 'ephemeralMessage', 'eventCoverImage', 'groupMentionedMessage',
        'groupStatusMentionMessage', 'groupStatusMessage', 'groupStatusMessageV2', 'limitSharingMessage',
        'lottieStickerMessage', 'pollCreationMessageV4', 'pollCreationOptionImageMessage', 'questionMessage',
        'statusMentionMessage', 'viewOnceMessage', 'viewOnceMessageV2', 'viewOnceMessageV2Extension'
    ];
    content jsonb := message;
    wrapper text;
begin
    for depth in 1..5 loop
        wrapper := null;
        foreach wrapper in array wrappers loop
            exit when jsonb_typeof(content -> wrapper -> 'message') = 'object';
            wrapper := null;
        end loop;
        exit when wrapper is null;
        content := content -> wrapper -> 'message';
    end loop;
    return content;
end
$$;

create function wpp_unwrapped(message jsonb) returns jsonb immutable parallel safe
return case when message ?| array[
    'associatedChildMessage', 'botInvokeMessage', 'botTaskMessage', 'commentMessage', 'deviceSentMessage',
    'documentWithCaptionMessage', 'editedMessage', 'ephemeralMessage', 'eventCoverImage', 'groupMentionedMessage',
    'groupStatusMentionMessage', 'groupStatusMessage', 'groupStatusMessageV2', 'limitSharingMessage',
    'lottieStickerMessage', 'pollCreationMessageV4', 'pollCreationOptionImageMessage', 'questionMessage',
    'statusMentionMessage', 'viewOnceMessage', 'viewOnceMessageV2', 'viewOnceMessageV2Extension'
] then wpp_inside(message) else message end;

-- The key under which a content keeps what was written, or other. None of what isn't a message: what is said of another one,
-- votes, albums (whose media are messages of their own), and keys alone.
create function wpp_part(content jsonb) returns text language plpgsql immutable parallel safe
as $$
declare
    part text;
begin
    if jsonb_typeof(content) is distinct from 'object' or content ?| array[
        'protocolMessage', 'reactionMessage', 'encReactionMessage', 'pollUpdateMessage', 'keepInChatMessage',
        'pinInChatMessage', 'encEventResponseMessage', 'secretEncryptedMessage', 'stickerSyncRmrMessage', 'albumMessage'
    ] then
        return null;
    end if;
    foreach part in array array[
        'conversation', 'extendedTextMessage', 'imageMessage', 'videoMessage', 'ptvMessage', 'audioMessage',
        'documentMessage', 'stickerMessage', 'locationMessage', 'liveLocationMessage', 'contactMessage',
        'contactsArrayMessage', 'pollCreationMessage', 'pollCreationMessageV2', 'pollCreationMessageV3',
        'pollCreationMessageV5', 'eventMessage', 'groupInviteMessage'
    ] loop
        if jsonb_typeof(content -> part) <> 'null' then
            return part;
        end if;
    end loop;
    return case
        when content - array[
            'messageContextInfo', 'senderKeyDistributionMessage', 'fastRatchetKeySenderKeyDistributionMessage'
        ] <> '{}' then 'other'
    end;
end
$$;

-- What is read of a message, once: its part, its content, the context and the media. Of a placeholder without a content, an
-- empty object; nothing of what isn't a message.
create function wpp_facts(content jsonb, part text, undecrypted boolean) returns jsonb[]
    language plpgsql immutable parallel safe
as $$
begin
    if part is not null then
        return array[jsonb_build_object(
            'part', part,
            'content', content,
            'context', content -> part -> 'contextInfo',
            'media', case
                when part in (
                    'imageMessage', 'videoMessage', 'ptvMessage', 'audioMessage', 'documentMessage', 'stickerMessage'
                ) then content -> part
            end
        )];
    end if;
    if undecrypted and jsonb_typeof(content) is distinct from 'object' then
        return array[jsonb '{}'];
    end if;
    return array[]::jsonb[];
end
$$;

create function wpp_kind(facts jsonb) returns text immutable parallel safe
return case facts ->> 'part'
    when 'conversation' then 'text'
    when 'extendedTextMessage' then 'text'
    when 'imageMessage' then 'image'
    when 'videoMessage' then 'video'
    when 'ptvMessage' then 'video_note'
    when 'audioMessage' then case when wpp_flag(facts -> 'media' -> 'ptt') then 'voice_note' else 'audio' end
    when 'documentMessage' then 'document'
    when 'stickerMessage' then 'sticker'
    when 'locationMessage' then 'location'
    when 'liveLocationMessage' then 'location'
    when 'contactMessage' then 'contact'
    when 'contactsArrayMessage' then 'contact'
    when 'pollCreationMessage' then 'poll'
    when 'pollCreationMessageV2' then 'poll'
    when 'pollCreationMessageV3' then 'poll'
    when 'pollCreationMessageV5' then 'poll'
    when 'eventMessage' then 'event'
    when 'groupInviteMessage' then 'invite'
    else case when facts ->> 'part' is not null then 'other' end
end;

create function wpp_media_kind(facts jsonb) returns text immutable parallel safe
return case facts ->> 'part'
    when 'imageMessage' then 'image'
    when 'videoMessage' then 'video'
    when 'ptvMessage' then 'video'
    when 'audioMessage' then 'audio'
    when 'documentMessage' then 'document'
    when 'stickerMessage' then 'sticker'
end;

-- The text of a content, the caption of its media, the question of its poll, the name of its event.
create function wpp_said(content jsonb) returns text immutable parallel safe
return coalesce(
    wpp_text(content -> 'conversation'),
    wpp_text(content -> 'extendedTextMessage' -> 'text'),
    wpp_text(content -> 'imageMessage' -> 'caption'),
    wpp_text(content -> 'videoMessage' -> 'caption'),
    wpp_text(content -> 'ptvMessage' -> 'caption'),
    wpp_text(content -> 'documentMessage' -> 'caption'),
    wpp_text(content -> 'liveLocationMessage' -> 'caption'),
    wpp_text(content -> 'groupInviteMessage' -> 'caption'),
    wpp_text(content -> 'pollCreationMessage' -> 'name'),
    wpp_text(content -> 'pollCreationMessageV2' -> 'name'),
    wpp_text(content -> 'pollCreationMessageV3' -> 'name'),
    wpp_text(content -> 'pollCreationMessageV5' -> 'name'),
    wpp_text(content -> 'eventMessage' -> 'name')
);

-- What becomes of messages: the copy in an update of a chat; edits, revokes and reactions, each with its target.

create function wpp_copy(payload jsonb) returns jsonb immutable parallel safe
return case
    when jsonb_typeof(payload -> 'messages' -> 0 -> 'message' -> 'message') = 'object'
        then payload -> 'messages' -> 0 -> 'message' -> 'message'
end;

create function wpp_target(type text, payload jsonb) returns text immutable parallel safe
return case type
    when 'messages.upsert' then case
        when jsonb_typeof(payload -> 'message') = 'object' then coalesce(
            wpp_id(wpp_unwrapped(payload -> 'message') -> 'protocolMessage' -> 'key' -> 'id'),
            wpp_id(wpp_unwrapped(payload -> 'message') -> 'reactionMessage' -> 'key' -> 'id')
        )
    end
    when 'messages.update' then case
        when payload -> 'update' -> 'message' is not null then wpp_id(payload -> 'key' -> 'id')
    end
    when 'messages.reaction' then wpp_id(payload -> 'key' -> 'id')
    when 'chats.update' then wpp_id(payload -> 'messages' -> 0 -> 'message' -> 'key' -> 'id')
end;

create function wpp_change(type text, payload jsonb) returns text immutable parallel safe
return case type
    when 'messages.upsert' then case
        when not wpp_is_no_stub(payload) then null
        when wpp_unwrapped(payload -> 'message') -> 'protocolMessage' ->> 'type' in ('REVOKE', '0') then 'revoke'
        when wpp_unwrapped(payload -> 'message') -> 'protocolMessage' ->> 'type' in ('MESSAGE_EDIT', '14') then 'edit'
        when wpp_unwrapped(payload -> 'message') -> 'reactionMessage' -> 'key' is not null then 'reaction'
    end
    when 'messages.update' then case jsonb_typeof(payload -> 'update' -> 'message')
        when 'null' then 'revoke'
        when 'object' then 'edit'
    end
    when 'messages.reaction' then 'reaction'
end;

create function wpp_change_text(type text, payload jsonb) returns text immutable parallel safe
return case type
    when 'messages.upsert' then coalesce(
        wpp_text(wpp_unwrapped(payload -> 'message') -> 'reactionMessage' -> 'text'),
        wpp_said(wpp_unwrapped(wpp_unwrapped(payload -> 'message') -> 'protocolMessage' -> 'editedMessage'))
    )
    when 'messages.update' then wpp_said(wpp_unwrapped(payload -> 'update' -> 'message'))
    when 'messages.reaction' then wpp_text(payload -> 'reaction' -> 'text')
end;

create function wpp_change_at(type text, payload jsonb) returns timestamptz immutable parallel safe
return case type
    when 'messages.upsert'
        then wpp_moment(wpp_unwrapped(payload -> 'message') -> 'reactionMessage' -> 'senderTimestampMs')
    when 'messages.reaction' then wpp_moment(payload -> 'reaction' -> 'senderTimestampMs')
end;

-- Membership.

create function wpp_membership(payload jsonb) returns text immutable parallel safe
return case
    when payload ->> 'messageStubType' in (
        '27', 'GROUP_PARTICIPANT_ADD', '31', 'GROUP_PARTICIPANT_INVITE', '141', 'GROUP_PARTICIPANT_LINKED_GROUP_JOIN',
        '151', 'GROUP_PARTICIPANT_JOINED_GROUP_AND_PARENT_GROUP'
    ) then 'join'
    when payload ->> 'messageStubType' in ('32', 'GROUP_PARTICIPANT_LEAVE') then 'leave'
    when payload ->> 'messageStubType' in ('28', 'GROUP_PARTICIPANT_REMOVE') then 'remove'
    when payload ->> 'messageStubType' in ('29', 'GROUP_PARTICIPANT_PROMOTE') then 'promote'
    when payload ->> 'messageStubType' in ('30', 'GROUP_PARTICIPANT_DEMOTE') then 'demote'
    when payload ->> 'messageStubType' in ('33', 'GROUP_PARTICIPANT_CHANGE_NUMBER') then 'change_number'
    when payload ->> 'messageStubType' in (
        '71', 'GROUP_PARTICIPANT_ADD_REQUEST_JOIN', '172', 'GROUP_MEMBERSHIP_JOIN_APPROVAL_REQUEST_NON_ADMIN_ADD'
    ) then case wpp_text(payload -> 'messageStubParameters' -> 1)
        when 'revoked' then 'join_request_revoked'
        when 'rejected' then 'join_request_rejected'
        else 'join_request'
    end
end;

-- A stub's parameter: a bare address, or in Baileys 7 the text of an object. NUL, which jsonb refuses, is U+FFFD in it.
create function wpp_parameter(parameter jsonb) returns jsonb stable parallel safe
return case
    when ltrim(wpp_text(parameter)) like '{%'
        and pg_input_is_valid(replace(wpp_text(parameter), '\u0000', '\ufffd'), 'jsonb')
        then cast(replace(wpp_text(parameter), '\u0000', '\ufffd') as jsonb)
    else parameter
end;

create function wpp_lid(value jsonb) returns text immutable parallel safe
return case when wpp_text(value) like '%lid' then wpp_jid(wpp_text(value)) end;

create function wpp_phone(value jsonb) returns text immutable parallel safe
return case when wpp_text(value) not like '%lid' then wpp_jid(wpp_text(value)) end;

-- The address of one person: the phone, else the LID. A LID written twice is a LID. Who asks to join is known by the
-- LID, for the phone beside it may be that of whoever acted; by a phone alone only in an act of its own.
create function wpp_member(shown jsonb, own_act boolean) returns text stable parallel safe
return case jsonb_typeof(shown)
    when 'string' then wpp_jid(wpp_text(shown))
    when 'object' then (
        select case
            when split_part(phone, '@', 1) = split_part(lid, '@', 1) then lid
            when shown ? 'id' then coalesce(phone, lid)
            else coalesce(lid, wpp_phone(shown -> 'lid'), case when own_act then phone end)
        end
        from (
            select
                coalesce(
                    wpp_lid(shown -> 'id'), wpp_lid(shown -> 'phoneNumber'), wpp_lid(shown -> 'lid'),
                    wpp_lid(shown -> 'jid'), wpp_lid(shown -> 'pn')
                ) as lid,
                coalesce(
                    wpp_phone(shown -> 'id'), wpp_phone(shown -> 'phoneNumber'), wpp_phone(shown -> 'lid'),
                    wpp_phone(shown -> 'jid'), wpp_phone(shown -> 'pn')
                ) as phone
            offset 0
        ) as addresses
    )
end;

-- Whether a request to join is as whoever asked has made it.
create function wpp_is_own_act(payload jsonb) returns boolean immutable parallel safe
return coalesce(wpp_text(payload -> 'messageStubParameters' -> 1), 'created') in ('created', 'revoked')
    and coalesce(wpp_text(payload -> 'messageStubParameters' -> 2), '') <> 'non_admin_add';

-- Whom a stub affects, each once.
create function wpp_members(payload jsonb) returns text[] stable parallel safe
return array(
    select jid
    from (
        select wpp_member(wpp_parameter(parameter), wpp_is_own_act(payload)) as jid
        from jsonb_array_elements(
            case jsonb_typeof(payload -> 'messageStubParameters')
                when 'array' then payload -> 'messageStubParameters'
            end
        ) as listed (parameter)
        offset 0
    ) as affected
    where jid is not null
    group by jid
    order by jid
);

-- By what an event does to the message too, so that looking for a message's edits reads none of its reactions.
create index whatsapp_events_target on whatsapp_events (wpp_target(type, payload), wpp_change(type, payload))
    where wpp_target(type, payload) is not null;

create view whatsapp_messages as
select
    event.event_id,
    event.message_id,
    event.group_id,
    event.group_jid,
    event.chat_jid,
    event.participant_id,
    event.participant_jid,
    coalesce(wpp_flag(event.payload -> 'key' -> 'fromMe'), false) as from_me,
    event.occurred_at as sent_at,
    wpp_local(event.occurred_at) as sent_at_local,
    wpp_kind(message.facts) as kind,
    wpp_said(message.facts -> 'content') as text,
    length(wpp_said(message.facts -> 'content')) as text_length,
    wpp_text(message.facts -> 'context' -> 'stanzaId') as reply_to,
    case when wpp_text(message.facts -> 'context' -> 'stanzaId') is not null
        then wpp_jid(wpp_text(message.facts -> 'context' -> 'participant'))
    end as reply_to_jid,
    cast(coalesce(array_length(wpp_jids(message.facts -> 'context' -> 'mentionedJid'), 1), 0) as integer) as mentions,
    wpp_jids(message.facts -> 'context' -> 'mentionedJid') as mentioned_jids,
    wpp_media_kind(message.facts) as media_kind,
    wpp_text(message.facts -> 'media' -> 'mimetype') as media_type,
    wpp_number(message.facts -> 'media' -> 'fileLength') as bytes,
    wpp_number(message.facts -> 'media' -> 'seconds') as seconds,
    coalesce(wpp_flag(message.facts -> 'context' -> 'isForwarded'), false) as forwarded,
    wpp_number(message.facts -> 'context' -> 'forwardingScore') as forwarding_score,
    edited.moment as edited_at,
    edited.text as edited_text,
    deleted.moment as deleted_at,
    deleted.actor as deleted_by,
    deleted.actor_id as deleted_by_id,
    cast(coalesce(reacted.reactors, 0) as integer) as reactions,
    reacted.emojis as reaction_emojis,
    reacted.actors as reacted_by,
    event.undecrypted,
    copy.message is not null as text_recovered
from (
    select
        row_of.event_id, row_of.type, row_of.group_id, located.external_jid as group_jid, row_of.participant_id,
        row_of.participant_jid, row_of.occurred_at, row_of.received_at, row_of.undecrypted, row_of.payload,
        wpp_text(row_of.payload -> 'key' -> 'id') as message_id,
        coalesce(located.external_jid, wpp_chat(row_of.payload)) as chat_jid,
        wpp_target(row_of.type, row_of.payload) as target_id
    from whatsapp_events as row_of
    left join whatsapp_groups as located on located.id = row_of.group_id
) as event
left join lateral (
    select (array_agg(wpp_copy(change.payload) order by change.received_at, change.event_id))[1] as message
    from (
    select
        row_of.event_id, row_of.type, row_of.group_id, located.external_jid as group_jid, row_of.participant_id,
        row_of.participant_jid, row_of.occurred_at, row_of.received_at, row_of.undecrypted, row_of.payload,
        wpp_text(row_of.payload -> 'key' -> 'id') as message_id,
        coalesce(located.external_jid, wpp_chat(row_of.payload)) as chat_jid,
        wpp_target(row_of.type, row_of.payload) as target_id
    from whatsapp_events as row_of
    left join whatsapp_groups as located on located.id = row_of.group_id
) as change
    where event.undecrypted
      and change.type = 'chats.update'
      and change.target_id = event.message_id
      and change.chat_jid = event.chat_jid
      and wpp_copy(change.payload) is not null
) as copy on true
cross join lateral (
    select unnest(wpp_facts(named.content, named.part, named.undecrypted)) as facts
    from (
        select unwrapped.content, wpp_part(unwrapped.content) as part, unwrapped.undecrypted
        from (
            select wpp_unwrapped(held.message) as content, held.undecrypted
            from (
                select case when event.undecrypted then copy.message else event.payload -> 'message' end as message,
                       event.undecrypted
            ) as held
        ) as unwrapped
    ) as named
) as message
left join lateral (
    select
        (array_agg(
            coalesce(change.occurred_at, change.received_at)
            order by change.occurred_at is null, change.occurred_at desc, change.received_at desc, change.event_id desc
        ))[1] as moment,
        (array_agg(
            wpp_change_text(change.type, change.payload)
            order by change.occurred_at is null, change.occurred_at desc, change.received_at desc, change.event_id desc
        ))[1] as text
    from (
    select
        row_of.event_id, row_of.type, row_of.group_id, located.external_jid as group_jid, row_of.participant_id,
        row_of.participant_jid, row_of.occurred_at, row_of.received_at, row_of.undecrypted, row_of.payload,
        wpp_text(row_of.payload -> 'key' -> 'id') as message_id,
        coalesce(located.external_jid, wpp_chat(row_of.payload)) as chat_jid,
        wpp_target(row_of.type, row_of.payload) as target_id
    from whatsapp_events as row_of
    left join whatsapp_groups as located on located.id = row_of.group_id
) as change
    where change.type in ('messages.upsert', 'messages.update')
      and change.target_id = event.message_id
      and change.chat_jid = event.chat_jid
      and wpp_change(change.type, change.payload) = 'edit'
) as edited on true
left join lateral (
    select
        (array_agg(
            coalesce(change.occurred_at, change.received_at)
            order by change.occurred_at is null, change.occurred_at, change.received_at, change.event_id
        ))[1] as moment,
        (array_agg(
            change.participant_jid
            order by change.occurred_at is null, change.occurred_at, change.received_at, change.event_id
        ))[1] as actor,
        (array_agg(
            change.participant_id
            order by change.occurred_at is null, change.occurred_at, change.received_at, change.event_id
        ))[1] as actor_id
    from (
    select
        row_of.event_id, row_of.type, row_of.group_id, located.external_jid as group_jid, row_of.participant_id,
        row_of.participant_jid, row_of.occurred_at, row_of.received_at, row_of.undecrypted, row_of.payload,
        wpp_text(row_of.payload -> 'key' -> 'id') as message_id,
        coalesce(located.external_jid, wpp_chat(row_of.payload)) as chat_jid,
        wpp_target(row_of.type, row_of.payload) as target_id
    from whatsapp_events as row_of
    left join whatsapp_groups as located on located.id = row_of.group_id
) as change
    where change.type in ('messages.upsert', 'messages.update')
      and change.target_id = event.message_id
      and change.chat_jid = event.chat_jid
      and wpp_change(change.type, change.payload) = 'revoke'
) as deleted on true
left join lateral (
    select
        count(*) as reactors,
        array_agg(latest.emoji order by latest.moment, latest.reactor) as emojis,
        array_agg(latest.actor order by latest.moment, latest.reactor) as actors
    from (
        select distinct on (reaction.reactor) reaction.reactor, reaction.moment, reaction.actor, reaction.emoji
        from (
            select
                coalesce(cast(change.participant_id as text), change.participant_jid, '') as reactor,
                coalesce(
                    wpp_change_at(change.type, change.payload), change.occurred_at, change.received_at
                ) as moment,
                change.participant_jid as actor,
                wpp_change_text(change.type, change.payload) as emoji,
                change.event_id
            from (
    select
        row_of.event_id, row_of.type, row_of.group_id, located.external_jid as group_jid, row_of.participant_id,
        row_of.participant_jid, row_of.occurred_at, row_of.received_at, row_of.undecrypted, row_of.payload,
        wpp_text(row_of.payload -> 'key' -> 'id') as message_id,
        coalesce(located.external_jid, wpp_chat(row_of.payload)) as chat_jid,
        wpp_target(row_of.type, row_of.payload) as target_id
    from whatsapp_events as row_of
    left join whatsapp_groups as located on located.id = row_of.group_id
) as change
            where change.type in ('messages.upsert', 'messages.reaction')
              and change.target_id = event.message_id
              and change.chat_jid = event.chat_jid
              and wpp_change(change.type, change.payload) = 'reaction'
        ) as reaction
        order by reaction.reactor, reaction.moment desc, reaction.event_id desc
    ) as latest
    where latest.emoji is not null
) as reacted on true
where event.type = 'messages.upsert'
  and (event.undecrypted or wpp_is_no_stub(event.payload));

create view whatsapp_membership_changes as
select
    event.event_id,
    event.message_id,
    event.group_id,
    event.group_jid,
    wpp_membership(event.payload) as kind,
    affected.participant_id,
    person.jid as participant_jid,
    event.participant_id as actor_id,
    event.participant_jid as actor_jid,
    event.occurred_at as changed_at,
    wpp_local(event.occurred_at) as changed_at_local
from (
    select
        row_of.event_id, row_of.type, row_of.group_id, located.external_jid as group_jid, row_of.participant_id,
        row_of.participant_jid, row_of.occurred_at, row_of.received_at, row_of.undecrypted, row_of.payload,
        wpp_text(row_of.payload -> 'key' -> 'id') as message_id,
        coalesce(located.external_jid, wpp_chat(row_of.payload)) as chat_jid,
        wpp_target(row_of.type, row_of.payload) as target_id
    from whatsapp_events as row_of
    left join whatsapp_groups as located on located.id = row_of.group_id
) as event
cross join lateral (
    select unnest(wpp_members(stub.payload)) as jid
    from (select event.payload) as stub
) as person
left join whatsapp_participant_jids as affected on affected.jid = person.jid
where event.type = 'messages.upsert'
  and wpp_membership(event.payload) is not null;

comment on view whatsapp_messages is 'One row per message that somebody wrote, with what became of it.';
comment on column whatsapp_messages.event_id is 'id of the message''s event';
comment on column whatsapp_messages.message_id is 'id that WhatsApp gave the message';
comment on column whatsapp_messages.group_id is 'group of the message; null outside groups';
comment on column whatsapp_messages.group_jid is 'address of the group; null outside groups';
comment on column whatsapp_messages.chat_jid is 'address of the chat: of the group, else as the key says';
comment on column whatsapp_messages.participant_id is 'author';
comment on column whatsapp_messages.participant_jid is 'author''s address, as the body shows it';
comment on column whatsapp_messages.from_me is 'written by the collector''s own account';
comment on column whatsapp_messages.sent_at is 'when it was sent';
comment on column whatsapp_messages.sent_at_local is 'when it was sent, on a clock in the time zone of wpp_lake.time_zone';
comment on column whatsapp_messages.kind is 'text, image, video, video_note, audio, voice_note, document, sticker, location, contact, poll, event, invite, other';
comment on column whatsapp_messages.text is 'text, caption, question of a poll, name of an event; as first sent';
comment on column whatsapp_messages.text_length is 'length of text (characters)';
comment on column whatsapp_messages.reply_to is 'message_id of the message that it answers';
comment on column whatsapp_messages.reply_to_jid is 'address of the author of the message that it answers';
comment on column whatsapp_messages.mentions is 'number of people that it mentions';
comment on column whatsapp_messages.mentioned_jids is 'addresses that it mentions, phones or LIDs as shown';
comment on column whatsapp_messages.media_kind is 'image, video, audio, document, sticker; null without media';
comment on column whatsapp_messages.media_type is 'MIME type of the media';
comment on column whatsapp_messages.bytes is 'size of the media (bytes)';
comment on column whatsapp_messages.seconds is 'length of the media (seconds)';
comment on column whatsapp_messages.forwarded is 'marked as forwarded';
comment on column whatsapp_messages.forwarding_score is 'how often it was forwarded, as WhatsApp counts';
comment on column whatsapp_messages.edited_at is 'when it was last edited; null if never';
comment on column whatsapp_messages.edited_text is 'text of the newest edit';
comment on column whatsapp_messages.deleted_at is 'when it was first deleted for everybody; null if never';
comment on column whatsapp_messages.deleted_by is 'address of whoever deleted it, as shown';
comment on column whatsapp_messages.deleted_by_id is 'whoever deleted it: the author, or an admin';
comment on column whatsapp_messages.reactions is 'number of people whose last reaction stands';
comment on column whatsapp_messages.reaction_emojis is 'those reactions, the oldest first; null without any';
comment on column whatsapp_messages.reacted_by is 'addresses of those who reacted, in the order of reaction_emojis';
comment on column whatsapp_messages.undecrypted is 'the message itself stayed a placeholder';
comment on column whatsapp_messages.text_recovered is 'its content was taken from an update of the chat';

comment on view whatsapp_membership_changes is 'One row per person whose membership of a group a stub changes.';
comment on column whatsapp_membership_changes.event_id is 'id of the stub''s event; one person each row';
comment on column whatsapp_membership_changes.message_id is 'id that WhatsApp gave the stub';
comment on column whatsapp_membership_changes.group_id is 'group';
comment on column whatsapp_membership_changes.group_jid is 'address of the group';
comment on column whatsapp_membership_changes.kind is 'join, leave, remove, promote, demote, change_number, join_request, join_request_revoked, join_request_rejected';
comment on column whatsapp_membership_changes.participant_id is 'person affected';
comment on column whatsapp_membership_changes.participant_jid is 'address of the person affected, as shown';
comment on column whatsapp_membership_changes.actor_id is 'whoever did it: an admin, or the person affected';
comment on column whatsapp_membership_changes.actor_jid is 'address of whoever did it, as shown';
comment on column whatsapp_membership_changes.changed_at is 'when it happened';
comment on column whatsapp_membership_changes.changed_at_local is 'when it happened, on a clock in the time zone of wpp_lake.time_zone';
