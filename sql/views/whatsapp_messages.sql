-- One row per message that somebody wrote, with what became of it. The same text is the view in PostgreSQL, made by a
-- migration, and the view over the snapshots in DuckDB: functions named wpp_ hold what the two write differently.
-- In the place of the word in braces comes where events are read from: events.sql beside this, or notebook/events_now.sql.
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
from {events} as event
-- What stayed a placeholder has its content in the first of the chat's updates that carry this message.
left join lateral (
    select (array_agg(wpp_copy(change.payload) order by change.received_at, change.event_id))[1] as message
    from {events} as change
    where event.undecrypted
      and change.type = 'chats.update'
      and change.target_id = event.message_id
      and change.chat_jid = event.chat_jid
      and wpp_copy(change.payload) is not null
) as copy on true
-- One row where the content is a message's, none where it is a reaction, a vote or another carrier. Read once per event,
-- for a subquery that returns sets is a fence to PostgreSQL's planner, which still looks up groups and times by index.
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
-- The newest edit, and the first time that somebody took the message back: those that have a time before those that don't.
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
    from {events} as change
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
    from {events} as change
    where change.type in ('messages.upsert', 'messages.update')
      and change.target_id = event.message_id
      and change.chat_jid = event.chat_jid
      and wpp_change(change.type, change.payload) = 'revoke'
) as deleted on true
-- The last reaction of each person counts; one without an emoji takes the former away.
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
            from {events} as change
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
  and (event.undecrypted or wpp_is_no_stub(event.payload))
