-- The functions of the views for DuckDB, each giving what the function of its name in sql/migrations gives in PostgreSQL.
create macro wpp_text(given) as case json_type(given) when 'VARCHAR' then nullif(json_extract_string(given, '$'), '') end;

create macro wpp_id(given) as case when length(wpp_text(given)) <= 200 then wpp_text(given) end;

create macro wpp_flag(given) as case json_type(given) when 'BOOLEAN' then json_extract_string(given, '$') = 'true' end;

create macro wpp_digits(given) as try_cast(nullif(regexp_extract(given, '^[0-9]{1,18}$'), '') as bigint);

create macro wpp_number(given) as case
    when json_type(given) = 'OBJECT'
        then try_cast(nullif(regexp_extract(json_extract_string(given, 'high'), '^[0-9]{1,6}$'), '') as bigint) * 4294967296
            + (
                try_cast(nullif(regexp_extract(json_extract_string(given, 'low'), '^-?[0-9]{1,10}$'), '') as bigint)
                & 4294967295
            )
    when json_type(given) not in ('ARRAY', 'BOOLEAN', 'NULL') then wpp_digits(json_extract_string(given, '$'))
end;

create macro wpp_moment(given) as case
    when wpp_number(given) between 1230768000 and 4102444799 then make_timestamptz(wpp_number(given) * 1000000)
    when wpp_number(given) between 1230768000000 and 4102444799999 then make_timestamptz(wpp_number(given) * 1000)
    when wpp_number(given) between 1230768000000000 and 4102444799999999 then make_timestamptz(wpp_number(given))
end;

create macro wpp_local(moment) as timezone(coalesce(getvariable('time_zone'), 'America/Sao_Paulo'), moment);

create macro wpp_jid(address) as
    nullif(regexp_extract(
        address, '^([0-9]{5,20})(?:[._][0-9]+)?(?::[0-9]+)?@(?:s\.whatsapp\.net|c\.us|hosted|lid|hosted\.lid)$', 1
    ), '') || case when address like '%lid' then '@lid' else '@s.whatsapp.net' end;

create macro wpp_jids(addresses) as case json_type(addresses)
    when 'ARRAY' then list_filter(
        list_transform(json_extract(addresses, '$[*]'), lambda address: wpp_jid(wpp_text(address))),
        lambda address: address is not null
    )
    else cast([] as varchar[])
end;

create macro wpp_chat(payload) as
    coalesce(wpp_text(json_extract(payload, '$.key.remoteJid')), wpp_text(json_extract(payload, '$.id')));

create macro wpp_is_no_stub(payload) as coalesce(json_extract_string(payload, '$.messageStubType'), '0') in ('0', 'UNKNOWN');

create macro wpp_inside(message) as list_filter(
    json_extract(message, [
        '$.associatedChildMessage.message', '$.botInvokeMessage.message', '$.botTaskMessage.message',
        '$.commentMessage.message', '$.deviceSentMessage.message', '$.documentWithCaptionMessage.message',
        '$.editedMessage.message', '$.ephemeralMessage.message', '$.eventCoverImage.message',
        '$.groupMentionedMessage.message', '$.groupStatusMentionMessage.message', '$.groupStatusMessage.message',
        '$.groupStatusMessageV2.message', '$.limitSharingMessage.message', '$.lottieStickerMessage.message',
        '$.pollCreationMessageV4.message', '$.pollCreationOptionImageMessage.message', '$.questionMessage.message',
        '$.statusMentionMessage.message', '$.viewOnceMessage.message', '$.viewOnceMessageV2.message',
        '$.viewOnceMessageV2Extension.message'
    ]),
    lambda held: json_type(held) = 'OBJECT'
)[1];

create macro wpp_unwrapped(message) as case
    when contains(cast(message as varchar), '"message"') then list_reduce(
        [message, message, message, message, message, message],
        lambda outer_one, again: coalesce(wpp_inside(outer_one), outer_one)
    )
    else message
end;

create macro wpp_part(content) as case
    when coalesce(json_type(content), '') <> 'OBJECT' or list_has_any(json_keys(content), [
        'protocolMessage', 'reactionMessage', 'encReactionMessage', 'pollUpdateMessage', 'keepInChatMessage',
        'pinInChatMessage', 'encEventResponseMessage', 'secretEncryptedMessage', 'stickerSyncRmrMessage', 'albumMessage'
    ]) then null
    else coalesce(
        list_filter([
            'conversation', 'extendedTextMessage', 'imageMessage', 'videoMessage', 'ptvMessage', 'audioMessage',
            'documentMessage', 'stickerMessage', 'locationMessage', 'liveLocationMessage', 'contactMessage',
            'contactsArrayMessage', 'pollCreationMessage', 'pollCreationMessageV2', 'pollCreationMessageV3',
            'pollCreationMessageV5', 'eventMessage', 'groupInviteMessage'
        ], lambda name: json_type(json_extract(content, name)) <> 'NULL')[1],
        case when len(list_filter(json_keys(content), lambda name: name not in (
            'messageContextInfo', 'senderKeyDistributionMessage', 'fastRatchetKeySenderKeyDistributionMessage'
        ))) > 0 then 'other' end
    )
end;

create macro wpp_facts(content, part, undecrypted) as case
    when part is not null then [json_object(
        'part', part,
        'content', content,
        'context', json_extract(json_extract(content, part), '$.contextInfo'),
        'media', case
            when part in (
                'imageMessage', 'videoMessage', 'ptvMessage', 'audioMessage', 'documentMessage', 'stickerMessage'
            ) then json_extract(content, part)
        end
    )]
    when undecrypted and coalesce(json_type(content), '') <> 'OBJECT' then [json('{}')]
    else cast([] as json[])
end;

create macro wpp_kind(facts) as case json_extract_string(facts, '$.part')
    when 'conversation' then 'text'
    when 'extendedTextMessage' then 'text'
    when 'imageMessage' then 'image'
    when 'videoMessage' then 'video'
    when 'ptvMessage' then 'video_note'
    when 'audioMessage' then case when wpp_flag(json_extract(facts, '$.media.ptt')) then 'voice_note' else 'audio' end
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
    else case when json_extract_string(facts, '$.part') is not null then 'other' end
end;

create macro wpp_media_kind(facts) as case json_extract_string(facts, '$.part')
    when 'imageMessage' then 'image'
    when 'videoMessage' then 'video'
    when 'ptvMessage' then 'video'
    when 'audioMessage' then 'audio'
    when 'documentMessage' then 'document'
    when 'stickerMessage' then 'sticker'
end;

create macro wpp_said(content) as list_filter(
    list_transform(
        json_extract(content, [
            '$.conversation', '$.extendedTextMessage.text', '$.imageMessage.caption', '$.videoMessage.caption',
            '$.ptvMessage.caption', '$.documentMessage.caption', '$.liveLocationMessage.caption',
            '$.groupInviteMessage.caption', '$.pollCreationMessage.name', '$.pollCreationMessageV2.name',
            '$.pollCreationMessageV3.name', '$.pollCreationMessageV5.name', '$.eventMessage.name'
        ]),
        lambda given: wpp_text(given)
    ),
    lambda said: said is not null
)[1];

create macro wpp_copy(payload) as case json_type(json_extract(payload, '$.messages[0].message.message'))
    when 'OBJECT' then json_extract(payload, '$.messages[0].message.message')
end;

create macro wpp_about(content) as
    coalesce(
        wpp_id(json_extract(content, '$.protocolMessage.key.id')),
        wpp_id(json_extract(content, '$.reactionMessage.key.id'))
    );

create macro wpp_target(type, payload) as case type
    when 'messages.upsert' then case json_type(json_extract(payload, '$.message'))
        when 'OBJECT' then wpp_about(wpp_unwrapped(json_extract(payload, '$.message')))
    end
    when 'messages.update'
        then case
            when json_extract(payload, '$.update.message') is not null then wpp_id(json_extract(payload, '$.key.id'))
        end
    when 'messages.reaction' then wpp_id(json_extract(payload, '$.key.id'))
    when 'chats.update' then wpp_id(json_extract(payload, '$.messages[0].message.key.id'))
end;

create macro wpp_change_of(content) as case
    when json_extract_string(content, '$.protocolMessage.type') in ('REVOKE', '0') then 'revoke'
    when json_extract_string(content, '$.protocolMessage.type') in ('MESSAGE_EDIT', '14') then 'edit'
    when json_extract(content, '$.reactionMessage.key') is not null then 'reaction'
end;

create macro wpp_change(type, payload) as case type
    when 'messages.upsert'
        then case when wpp_is_no_stub(payload) then wpp_change_of(wpp_unwrapped(json_extract(payload, '$.message'))) end
    when 'messages.update' then case json_type(json_extract(payload, '$.update.message'))
        when 'NULL' then 'revoke'
        when 'OBJECT' then 'edit'
    end
    when 'messages.reaction' then 'reaction'
end;

create macro wpp_change_text(type, payload) as case type
    when 'messages.upsert' then coalesce(
        wpp_text(json_extract(wpp_unwrapped(json_extract(payload, '$.message')), '$.reactionMessage.text')),
        wpp_said(wpp_unwrapped(
            json_extract(wpp_unwrapped(json_extract(payload, '$.message')), '$.protocolMessage.editedMessage')
        ))
    )
    when 'messages.update' then wpp_said(wpp_unwrapped(json_extract(payload, '$.update.message')))
    when 'messages.reaction' then wpp_text(json_extract(payload, '$.reaction.text'))
end;

create macro wpp_change_at(type, payload) as case type
    when 'messages.upsert'
        then wpp_moment(
            json_extract(wpp_unwrapped(json_extract(payload, '$.message')), '$.reactionMessage.senderTimestampMs')
        )
    when 'messages.reaction' then wpp_moment(json_extract(payload, '$.reaction.senderTimestampMs'))
end;

create macro wpp_membership(payload) as case
    when json_extract_string(payload, '$.messageStubType') in (
        '27', 'GROUP_PARTICIPANT_ADD', '31', 'GROUP_PARTICIPANT_INVITE', '141', 'GROUP_PARTICIPANT_LINKED_GROUP_JOIN',
        '151', 'GROUP_PARTICIPANT_JOINED_GROUP_AND_PARENT_GROUP'
    ) then 'join'
    when json_extract_string(payload, '$.messageStubType') in ('32', 'GROUP_PARTICIPANT_LEAVE') then 'leave'
    when json_extract_string(payload, '$.messageStubType') in ('28', 'GROUP_PARTICIPANT_REMOVE') then 'remove'
    when json_extract_string(payload, '$.messageStubType') in ('29', 'GROUP_PARTICIPANT_PROMOTE') then 'promote'
    when json_extract_string(payload, '$.messageStubType') in ('30', 'GROUP_PARTICIPANT_DEMOTE') then 'demote'
    when json_extract_string(payload, '$.messageStubType') in ('33', 'GROUP_PARTICIPANT_CHANGE_NUMBER') then 'change_number'
    when json_extract_string(payload, '$.messageStubType') in (
        '71', 'GROUP_PARTICIPANT_ADD_REQUEST_JOIN', '172', 'GROUP_MEMBERSHIP_JOIN_APPROVAL_REQUEST_NON_ADMIN_ADD'
    ) then case wpp_text(json_extract(payload, '$.messageStubParameters[1]'))
        when 'revoked' then 'join_request_revoked'
        when 'rejected' then 'join_request_rejected'
        else 'join_request'
    end
end;

create macro wpp_parameter(parameter) as case
    when ltrim(wpp_text(parameter)) like '{%'
        then coalesce(try_cast(replace(wpp_text(parameter), '\u0000', '\ufffd') as json), parameter)
    else parameter
end;

create macro wpp_lid(given) as case when wpp_text(given) like '%lid' then wpp_jid(wpp_text(given)) end;

create macro wpp_phone(given) as case when wpp_text(given) not like '%lid' then wpp_jid(wpp_text(given)) end;

create macro wpp_addresses(shown) as json_extract(shown, ['$.id', '$.phoneNumber', '$.lid', '$.jid', '$.pn']);

create macro wpp_first(found) as list_filter(found, lambda given: given is not null)[1];

create macro wpp_one(lid, phone, shown, own_act) as case
    when split_part(phone, '@', 1) = split_part(lid, '@', 1) then lid
    when json_exists(shown, '$.id') then coalesce(phone, lid)
    else coalesce(lid, wpp_phone(json_extract(shown, '$.lid')), case when own_act then phone end)
end;

create macro wpp_member(shown, own_act) as case json_type(shown)
    when 'VARCHAR' then wpp_jid(wpp_text(shown))
    when 'OBJECT' then wpp_one(
        wpp_first(list_transform(wpp_addresses(shown), lambda given: wpp_lid(given))),
        wpp_first(list_transform(wpp_addresses(shown), lambda given: wpp_phone(given))),
        shown, own_act
    )
end;

create macro wpp_is_own_act(payload) as
    coalesce(wpp_text(json_extract(payload, '$.messageStubParameters[1]')), 'created') in ('created', 'revoked')
    and coalesce(wpp_text(json_extract(payload, '$.messageStubParameters[2]')), '') <> 'non_admin_add';

create macro wpp_members(payload) as case json_type(json_extract(payload, '$.messageStubParameters'))
    when 'ARRAY' then list_sort(list_distinct(list_transform(
        json_extract(payload, '$.messageStubParameters[*]'),
        lambda parameter: wpp_member(wpp_parameter(parameter), wpp_is_own_act(payload))
    )))
end;
