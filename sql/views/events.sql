-- Where the views read events from in PostgreSQL: the table, with the address of the group, and what joins messages with
-- what becomes of them.
(
    select
        row_of.event_id, row_of.type, row_of.group_id, located.external_jid as group_jid, row_of.participant_id,
        row_of.participant_jid, row_of.occurred_at, row_of.received_at, row_of.undecrypted, row_of.payload,
        wpp_text(row_of.payload -> 'key' -> 'id') as message_id,
        coalesce(located.external_jid, wpp_chat(row_of.payload)) as chat_jid,
        wpp_target(row_of.type, row_of.payload) as target_id
    from whatsapp_events as row_of
    left join whatsapp_groups as located on located.id = row_of.group_id
)
