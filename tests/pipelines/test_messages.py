"""The views of messages and membership changes: what each row says, in PostgreSQL and over the snapshots in DuckDB.

Belongs here: their rows, written out by hand for the sample and for what it lacks; that both say the same, whatever the
order of loading. Not: what the tables hold (loading).
"""

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from factories import RECEIVED, event, event_id, group, line, message, participant
from lake import Lake

from pipelines import notebook
from pipelines.db.queries import filled, query
from pipelines.landing.hours import today
from pipelines.snapshots.schemas import EVENTS
from pipelines.snapshots.write import write_snapshots

ANA, BIA, CAIO = participant(1), participant(2), participant(3)
AT = 1779336842  # 2026-05-21 04:14:02 UTC
COLUMNS = "select attname::text from pg_attribute where attrelid = %s::text::regclass and attnum > 0 order by attnum"
UNIQUE = {"whatsapp_messages": "event_id", "whatsapp_membership_changes": "event_id, participant_jid"}


def view(lake: Lake, name: str = "whatsapp_messages") -> list[dict[str, Any]]:
    """Return a view's rows in PostgreSQL; its own ids as texts."""
    columns = [column for (column,) in lake.connection.execute(COLUMNS, [name])]
    rows = lake.rows(f"select * from {name} order by {UNIQUE[name]}")  # noqa: S608  names of this file
    return [dict(zip(columns, map(as_text, row), strict=True)) for row in rows]


def as_text(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else value


def in_duckdb(lake: Lake, name: str = "whatsapp_messages") -> list[dict[str, Any]]:
    """Write the snapshots that the views read; return the rows of the view over them."""
    for day in {day for (day,) in lake.rows("select received_on from event_days")} | {today()}:
        list(write_snapshots(lake.settings, lake.snapshots, day, [EVENTS]))
    list(write_snapshots(lake.settings, lake.snapshots, today(), ["whatsapp_participant_jids"]))
    found = notebook.connect().sql(f"select * from {name} order by {UNIQUE[name]}")  # noqa: S608  names of this file
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def loaded(lake: Lake, *bodies: bytes) -> None:
    """Land and load bodies, each a second after the one before."""
    lake.land(*(line(body, number, RECEIVED + timedelta(seconds=number)) for number, body in enumerate(bodies)))
    lake.load()


def only(lake: Lake) -> dict[str, Any]:
    """Return the only message, which both databases have."""
    [row] = view(lake)
    assert in_duckdb(lake) == [row]
    return row


def clock(text: str) -> datetime:
    """Return the time that a clock shows, wherever it stands."""
    return datetime.fromisoformat(text)


def sample_loaded(lake: Lake, sample: list[dict[str, Any]]) -> None:
    """Load the sample, whose requests repeat some ids, in one file."""
    lake.land(
        *(
            line(each["body"].encode(), each["headers"]["X-Event-Id"].lower(), RECEIVED + timedelta(seconds=each["n"]))
            for each in sample
        )
    )
    lake.load()


# Of the sample's messages by message_id, and what their rows say, read off the requests by eye.
MESSAGES: dict[str, dict[str, Any]] = {
    "ACB344444FFCACAFBA69AE854B01670D": {
        "group_jid": "120363001010000003@g.us", "chat_jid": "120363001010000003@g.us",
        "participant_jid": "5500910100035@s.whatsapp.net", "from_me": False, "kind": "text",
        "text": "respondendo @x", "text_length": 14, "reply_to": "3EB05AA11C1BA939BBD3ED",
        "reply_to_jid": "5500910100009@s.whatsapp.net", "mentions": 2,
        "mentioned_jids": ["910100000000025@lid", "5500910100025@s.whatsapp.net"], "media_kind": None,
        "media_type": None, "bytes": None, "seconds": None, "forwarded": False, "forwarding_score": None,
        "sent_at": datetime(2025, 10, 10, 12, 58, 18, tzinfo=UTC), "sent_at_local": clock("2025-10-10 09:58:18"),
        "undecrypted": False, "text_recovered": False, "edited_at": None, "deleted_at": None, "reactions": 0,
    },
    "AC412688F1AE2587FD636D0FA0BBC8A6": {
        "kind": "image", "text": "foto 📷", "text_length": 6, "media_kind": "image", "media_type": "image/jpeg",
        "bytes": 3321711, "seconds": None, "participant_jid": "5500910100004@s.whatsapp.net", "reply_to": None,
        "mentions": 0, "mentioned_jids": [],
    },
    "3EB07746B5578B19B00BAC": {
        "kind": "video", "media_kind": "video", "media_type": "video/mp4", "bytes": 5000000000, "seconds": 12,
        "text": None, "text_length": None, "participant_jid": "5500910100036@s.whatsapp.net",
    },
    "3EB0DAB12E8D6EAB06C2CB": {
        "kind": "voice_note", "media_kind": "audio", "media_type": "audio/ogg; codecs=opus", "bytes": 2134805,
        "seconds": 7,
    },
    "3EB06E86FF829496265736": {
        "kind": "document", "media_kind": "document", "media_type": "application/pdf", "bytes": 6653849, "text": None,
        "group_jid": "5500910100001-1500000000@g.us",
    },
    "AC33A69874C8ACB2EAD56BBBCF394CFF": {"kind": "location", "text": None, "media_kind": None},
    "3EB00D465BEF9D99618787": {"kind": "poll", "text": "Qual stack?", "text_length": 11},
    "AC35E504FD2F9B2614209248C71E8265": {"kind": "contact", "text": None},
    "ACD4A6D8B93FB5401D5B0AC07CB0FF51": {
        "kind": "text", "text": "relatório 129057", "from_me": True, "participant_jid": "5500910100040@s.whatsapp.net",
    },
    "ACBE18C1982D688007919C13943B0183": {
        "kind": None, "text": None, "undecrypted": True, "text_recovered": False, "mentions": 0,
        "participant_jid": "5500910100020@s.whatsapp.net",
    },
    "AC6A3D480D76150D08D0517CEB8CC61D": {"kind": "text", "text": "https://exemplo.test/a?b=1&c=2", "text_length": 30},
    "3EB0DDBB4B7127047A20A7": {"kind": "image", "bytes": None},  # 2**64 - 1 is no size
    "ACAB979DE471B5697D06BB6FAEE17BD6": {"text": "n8", "reply_to": "Q8", "reply_to_jid": "900000000000001@lid"},
    "AC561F65F7F88F900016F8C54ED311FF": {"text": "x", "participant_jid": "5500910100001@s.whatsapp.net"},
    "AC5D6EBB831C7295EF56F87A154B9950": {"sent_at": datetime(2025, 10, 10, 15, 21, 44, tzinfo=UTC)},  # a Long
}  # fmt: skip
# Of the sample's messages.upsert: revoke, edit, vote, reaction, label, stub.
NO_MESSAGES = {
    "AC2FFEA583F64932A27CD3308FDEEF91", "AC3535845E426AAEB2F9A873836B1A55", "ACD43FD262FF3C1BB667A8202B5CD9BB",
    "3EB072619F96162E42D826", "3EB06735870889272C8009", "493165105",
}  # fmt: skip
# Of the sample's stubs by message_id: kind, people affected, who did it.
CHANGES = {
    "493165105": ("join", ["5500910100018@s.whatsapp.net"], "5500910100035@s.whatsapp.net"),
    "1320940204": (
        "join",
        [f"55009101000{number}@s.whatsapp.net" for number in ("01", "08", "24", "29")],
        "5500910100018@s.whatsapp.net",
    ),
    "485085337": ("join", ["910100000000016@lid"], "910100000000015@lid"),
    "2725681373": ("remove", ["5500910100001@s.whatsapp.net"], "5500910100006@s.whatsapp.net"),
    "2356908225": ("leave", ["5500910100036@s.whatsapp.net"], "5500910100036@s.whatsapp.net"),
    "1952472385": ("promote", ["5500910100011@s.whatsapp.net", "910100000000014@lid"], "910100000000002@lid"),
    "592311195": ("demote", ["910100000000015@lid"], "910100000000006@lid"),
    "1959767263": ("join_request", ["910100000000009@lid"], "910100000000009@lid"),
    "1314503307": ("join_request", ["910100000000035@lid"], "910100000000035@lid"),
}


def test_the_samples_messages_are_as_written_here(lake: Lake, sample: list[dict[str, Any]]) -> None:
    sample_loaded(lake, sample)
    rows = {row["message_id"]: row for row in view(lake)}
    assert {name: {key: rows[name][key] for key in said} for name, said in MESSAGES.items()} == MESSAGES
    assert NO_MESSAGES & rows.keys() == set()


def test_the_samples_messages_by_kind(lake: Lake, sample: list[dict[str, Any]]) -> None:
    """75 that could be read, and five placeholders."""
    sample_loaded(lake, sample)
    assert dict(lake.rows("select kind, count(*) from whatsapp_messages group by 1")) == {
        "contact": 3, "document": 4, "image": 6, "location": 4, "poll": 4, "text": 48, "video": 2, "voice_note": 4,
        None: 5,
    }  # fmt: skip


def test_the_samples_membership_changes_are_as_written_here(lake: Lake, sample: list[dict[str, Any]]) -> None:
    sample_loaded(lake, sample)
    rows = view(lake, "whatsapp_membership_changes")
    found = {
        name: (
            {row["kind"] for row in rows if row["message_id"] == name},
            [row["participant_jid"] for row in rows if row["message_id"] == name],
            {row["actor_jid"] for row in rows if row["message_id"] == name},
        )
        for name in CHANGES
    }
    assert found == {name: ({kind}, people, {actor}) for name, (kind, people, actor) in CHANGES.items()}
    [first] = [row for row in rows if row["message_id"] == "493165105"]
    assert (first["changed_at"], first["changed_at_local"]) == (
        datetime(2025, 10, 10, 13, 39, 41, tzinfo=UTC),
        clock("2025-10-10 10:39:41"),
    )
    assert [row for row in rows if row["participant_id"] is None] == []


@pytest.mark.parametrize("name", UNIQUE)
def test_duckdb_has_the_same_rows_of_the_sample(lake: Lake, sample: list[dict[str, Any]], name: str) -> None:
    sample_loaded(lake, sample)
    rows = view(lake, name)
    assert in_duckdb(lake, name) == rows
    assert len(rows) == {"whatsapp_messages": 80, "whatsapp_membership_changes": 46}[name]


# --- What becomes of a message -------------------------------------------------------------------------------------


def protocol(author: Any, kind: object, key: str, at: int, **more: Any) -> bytes:
    """Return a body that says something of the message M."""
    said = {"protocolMessage": {"key": {"remoteJid": group(), "id": "M"}, "type": kind, **more}}
    return event(message(author, key=key, messageTimestamp=at) | {"message": said})


def update(author: Any, update: Any) -> bytes:
    """Return the update of the message M that somebody makes."""
    key = message(author, key="M")["key"]
    return event({"key": key, "update": update}, kind="messages.update")


def reaction(author: Any, emoji: str, milliseconds: int, key: str) -> list[bytes]:
    """Return both bodies of a reaction to the message M: its message, and the event."""
    about = {"remoteJid": group(), "id": "M"}
    moment = AT * 1000 + milliseconds
    low = moment & 0xFFFFFFFF
    long = {"low": low - 2**32 if low >= 2**31 else low, "high": moment >> 32, "unsigned": False}
    shown = message(author, key=key)
    carrier = {"reactionMessage": {"key": about, "text": emoji, "senderTimestampMs": str(moment)}}
    payload = {"key": about, "reaction": {"key": shown["key"], "text": emoji, "senderTimestampMs": long}}
    return [event(shown | {"message": carrier}), event(payload, kind="messages.reaction")]


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(AT + seconds, UTC)


STORY = [
    event(message(ANA, key="M", text="primeiro")),
    protocol(ANA, "MESSAGE_EDIT", "E1", AT + 10, editedMessage={"conversation": "segundo"}),
    update(ANA, {"message": {"editedMessage": {"message": {"conversation": "segundo"}}}, "messageTimestamp": AT + 11}),
    protocol(ANA, 14, "E2", AT + 20, editedMessage={"extendedTextMessage": {"text": "terceiro"}}),
    *reaction(BIA, "👍", 1000, "R1"),
    *reaction(BIA, "❤️", 2000, "R2"),
    *reaction(CAIO, "😂", 1500, "R3"),
    *reaction(CAIO, "", 2500, "R4"),
    *reaction(ANA, "🙏", 3000, "R5"),
    update(BIA, {"message": None, "messageStubType": 1}),
    protocol(BIA, "REVOKE", "D1", AT + 30),
]
TOLD = {
    "kind": "text",
    "text": "primeiro",
    "edited_text": "terceiro",
    "edited_at": at(20),
    "deleted_at": at(30),
    "deleted_by": BIA.jid,
    "reactions": 2,
    "reaction_emojis": ["❤️", "🙏"],
    "reacted_by": [BIA.jid, ANA.jid],
}


def test_edits_reactions_and_a_revoke_are_told_of_their_message(lake: Lake) -> None:
    """The text stays; beside it the last edit, the last reaction of each, and the first revoke, an admin's here."""
    loaded(lake, *STORY)
    row = only(lake)
    assert {key: row[key] for key in TOLD} == TOLD
    assert row["deleted_by_id"] not in {None, row["participant_id"]}


def test_rows_do_not_depend_on_the_order_of_loading(lake: Lake, sample: list[dict[str, Any]]) -> None:
    """Files in any order, some of them twice, bodies of one id among them."""
    others = [each["body"].encode() for each in sample[:120]]
    placed = [*STORY, *others]
    lines = [line(body, number, RECEIVED + timedelta(seconds=number)) for number, body in enumerate(placed)]
    lines += [line(body, number, RECEIVED + timedelta(seconds=500)) for number, body in enumerate(placed[:20])]
    seen = []
    for seed in range(4):
        lake.empty()
        random.Random(seed).shuffle(lines)  # noqa: S311  an order, no secret
        for start in range(0, len(lines), 30):
            lake.land(*lines[start : start + 30])
            lake.load()
        ids = {"group_id", "participant_id", "deleted_by_id", "actor_id"}
        seen.append([[{k: v for k, v in row.items() if k not in ids} for row in view(lake, name)] for name in UNIQUE])
    assert seen[1:] == seen[:1] * 3
    assert [row["reactions"] for row in seen[0][0] if row["message_id"] == "M"] == [2]


def test_an_author_takes_a_message_back(lake: Lake) -> None:
    loaded(lake, event(message(ANA, key="M")), protocol(ANA, 0, "D", AT + 5))
    row = only(lake)
    assert (row["deleted_at"], row["deleted_by"], row["deleted_by_id"]) == (at(5), ANA.jid, row["participant_id"])


def test_a_revoke_without_a_time_has_that_of_its_receipt(lake: Lake) -> None:
    loaded(lake, event(message(ANA, key="M")), update(ANA, {"message": None}))
    assert only(lake)["deleted_at"] == RECEIVED + timedelta(seconds=1)


def test_a_reaction_that_comes_back_counts(lake: Lake) -> None:
    """Its event has the id of the first, so that only its message tells."""
    first, second, third = (reaction(BIA, emoji, 1000 * n, f"R{n}") for n, emoji in enumerate(["👍", "", "👍"]))
    loaded(lake, event(message(ANA, key="M")), *first, *second, third[0])
    row = only(lake)
    assert (row["reactions"], row["reaction_emojis"], row["reacted_by"]) == (1, ["👍"], [BIA.jid])


def test_one_person_with_two_addresses_reacts_once(lake: Lake) -> None:
    lid, phone = participant(2, phone=False), participant(2, lid=False)
    known = event(message(BIA, key="N"))
    loaded(lake, known, event(message(ANA, key="M")), *reaction(lid, "👍", 1, "R1"), *reaction(phone, "😂", 2, "R2"))
    assert [row["reaction_emojis"] for row in view(lake) if row["message_id"] == "M"] == [["😂"]]


def test_an_id_of_any_length_is_loaded_and_only_one_as_clients_make_joins(lake: Lake) -> None:
    """An entry of an index has its bound, and no event may be refused for that."""
    expected, bodies = {200: 1, 201: 0, 100_000: 0}, []
    for length in expected:
        key, reactor = "é" * length, message(BIA, key="R")["key"]
        said = {"key": {"remoteJid": group(), "id": key}, "reaction": {"key": reactor, "text": "👍"}}
        bodies += [event(message(ANA, key=key)), event(said, kind="messages.reaction")]
    loaded(lake, *bodies)
    rows = view(lake)
    assert sorted((len(row["message_id"]), row["reactions"]) for row in rows) == sorted(expected.items())
    assert in_duckdb(lake) == rows


def test_what_is_said_of_a_message_of_another_chat_is_not_said_of_this_one(lake: Lake) -> None:
    elsewhere = message(BIA, key="D", chat=group(2))
    elsewhere["message"] = {"protocolMessage": {"key": {"id": "M", "remoteJid": group(2)}, "type": "REVOKE"}}
    loaded(lake, event(message(ANA, key="M")), event(elsewhere, chat=group(2)))
    assert only(lake)["deleted_at"] is None


# --- Placeholders --------------------------------------------------------------------------------------------------


def placeholder() -> bytes:
    payload = message(ANA, key="M", messageStubType=2, messageStubParameters=["Message absent from node"])
    del payload["message"]
    return event(payload)


def copied(content: Any, chat: str = group()) -> bytes:
    """Return the update of a chat that carries the message M."""
    whole = message(ANA, key="M", chat=chat) | {"message": content}
    return event({"id": chat, "messages": [{"message": whole}]}, kind="chats.update", chat=chat)


def test_a_placeholders_content_comes_from_the_chats_update(lake: Lake) -> None:
    content = {"imageMessage": {"caption": "achei", "mimetype": "image/png", "fileLength": "10"}}
    loaded(lake, copied({"conversation": "alheio"}, group(2)), placeholder(), copied(content))
    row = only(lake)
    assert (row["text"], row["kind"], row["bytes"]) == ("achei", "image", 10)
    assert (row["undecrypted"], row["text_recovered"], row["participant_jid"]) == (True, True, ANA.jid)


def test_a_message_that_was_read_has_no_need_of_the_copy(lake: Lake) -> None:
    loaded(lake, event(message(ANA, key="M", text="lida")), copied({"conversation": "cópia"}))
    row = only(lake)
    assert (row["text"], row["undecrypted"], row["text_recovered"]) == ("lida", False, False)


def test_a_placeholder_that_was_a_reaction_is_no_message(lake: Lake) -> None:
    loaded(lake, placeholder(), copied({"reactionMessage": {"key": {"id": "X"}, "text": "👍"}}))
    assert (view(lake), in_duckdb(lake)) == ([], [])


def test_a_placeholder_of_which_nothing_is_known_is_a_message_all_the_same(lake: Lake) -> None:
    loaded(lake, placeholder(), copied(None))
    row = only(lake)
    assert (row["kind"], row["text"], row["undecrypted"], row["text_recovered"]) == (None, None, True, False)


# --- Kinds, wrappers, numbers --------------------------------------------------------------------------------------

KINDS: list[tuple[dict[str, Any], str, str | None]] = [
    ({"conversation": "oi"}, "text", "oi"),
    ({"extendedTextMessage": {"text": "oi"}}, "text", "oi"),
    ({"imageMessage": {"caption": "a"}}, "image", "a"),
    ({"videoMessage": {"caption": "b"}}, "video", "b"),
    ({"ptvMessage": {}}, "video_note", None),
    ({"audioMessage": {"ptt": False}}, "audio", None),
    ({"audioMessage": {"ptt": True}}, "voice_note", None),
    ({"documentMessage": {"caption": "c"}}, "document", "c"),
    ({"stickerMessage": {}}, "sticker", None),
    ({"liveLocationMessage": {"caption": "d"}}, "location", "d"),
    ({"contactsArrayMessage": {"contacts": []}}, "contact", None),
    ({"pollCreationMessage": {"name": "p?"}}, "poll", "p?"),
    ({"pollCreationMessageV5": {"name": "q?"}}, "poll", "q?"),
    ({"eventMessage": {"name": "festa"}}, "event", "festa"),
    ({"groupInviteMessage": {"caption": "venha"}}, "invite", "venha"),
    ({"somethingNewMessage": {"text": "?"}}, "other", None),
    ({"senderKeyDistributionMessage": {}, "conversation": "oi"}, "text", "oi"),
]
WRAPPERS = [
    "associatedChildMessage", "botInvokeMessage", "botTaskMessage", "commentMessage", "deviceSentMessage",
    "documentWithCaptionMessage", "editedMessage", "ephemeralMessage", "eventCoverImage", "groupMentionedMessage",
    "groupStatusMentionMessage", "groupStatusMessage", "groupStatusMessageV2", "limitSharingMessage",
    "lottieStickerMessage", "pollCreationMessageV4", "pollCreationOptionImageMessage", "questionMessage",
    "statusMentionMessage", "viewOnceMessage", "viewOnceMessageV2", "viewOnceMessageV2Extension",
]  # fmt: skip
CARRIERS: list[Any] = [
    {name: {}}
    for name in (
        "protocolMessage", "reactionMessage", "encReactionMessage", "pollUpdateMessage", "keepInChatMessage",
        "pinInChatMessage", "encEventResponseMessage", "secretEncryptedMessage", "stickerSyncRmrMessage",
        "albumMessage", "senderKeyDistributionMessage", "messageContextInfo",
    )
] + [{}, None, "text", [], {"ephemeralMessage": {"message": {"reactionMessage": {}}}}]  # fmt: skip


def with_contents(contents: list[Any]) -> list[bytes]:
    """Return a message of each content, its number its message_id."""
    return [event(message(ANA, key=f"{n:02}") | {"message": content}) for n, content in enumerate(contents)]


def test_each_kind_of_content(lake: Lake) -> None:
    loaded(lake, *with_contents([content for content, *_ in KINDS]))
    rows = sorted(view(lake), key=lambda row: row["message_id"])
    assert [(row["kind"], row["text"]) for row in rows] == [(kind, text) for _, kind, text in KINDS]
    assert in_duckdb(lake) == view(lake)


def test_each_wrapper_is_taken_off_alone_and_in_another(lake: Lake) -> None:
    contents: list[Any] = [{name: {"message": {"imageMessage": {"caption": name}}}} for name in WRAPPERS]
    contents += [{"ephemeralMessage": {"message": content}} for content in contents]
    loaded(lake, *with_contents(contents))
    rows = sorted(view(lake), key=lambda row: row["message_id"])
    assert [(row["kind"], row["text"]) for row in rows] == [("image", name) for name in WRAPPERS] * 2
    assert in_duckdb(lake) == view(lake)


def test_a_carrier_is_no_message(lake: Lake) -> None:
    loaded(lake, *with_contents(CARRIERS))
    assert (view(lake), in_duckdb(lake)) == ([], [])


SIZES: list[tuple[Any, int | None]] = [
    (5, 5), ("5", 5), ({"low": 5, "high": 0, "unsigned": True}, 5), ({"low": -1, "high": 0}, 4294967295),
    ({"low": 705032704, "high": 1}, 5000000000), (-5, None), ("-5", None), (5.5, None), ("5 MB", None), ("", None),
    (True, None), (None, None), ([5], None), ({"low": "x", "high": 0}, None), ({"low": 5}, None), ({}, None),
    (10**30, None), ("9" * 400, None), ({"low": 5, "high": 10**12}, None),
]  # fmt: skip


def test_a_size_is_a_number_its_digits_or_a_long_and_else_null(lake: Lake) -> None:
    loaded(lake, *with_contents([{"videoMessage": {"fileLength": given, "seconds": given}} for given, _ in SIZES]))
    rows = sorted(view(lake), key=lambda row: row["message_id"])
    said = [(given, row["bytes"], row["seconds"]) for (given, _), row in zip(SIZES, rows, strict=True)]
    assert said == [(given, read, read) for given, read in SIZES]
    assert in_duckdb(lake) == view(lake)


def test_a_reply_that_was_forwarded(lake: Lake) -> None:
    context = {
        "stanzaId": "Q", "participant": "910000000000002:7@lid", "isForwarded": True, "forwardingScore": 4,
        "mentionedJid": ["5500900000003:1@s.whatsapp.net", group(), 7, None, "910000000000001@lid"],
    }  # fmt: skip
    loaded(lake, *with_contents([{"stickerMessage": {"contextInfo": context}}]))
    row = only(lake)
    assert (row["reply_to"], row["reply_to_jid"], row["forwarded"], row["forwarding_score"]) == (
        "Q", "910000000000002@lid", True, 4,
    )  # fmt: skip
    assert (row["mentions"], row["mentioned_jids"]) == (2, ["5500900000003@s.whatsapp.net", "910000000000001@lid"])


ODD: list[Any] = [None, True, 5, "text", [], [[]], {}, {"id": {}}, "\u0000", "{", '{"id": 1e999}', [{"message": 5}]]
PLACES = ["key", "message", "messageStubType", "messageStubParameters", "messages", "update", "reaction", "id"]


def test_no_payload_makes_a_view_fail(lake: Lake) -> None:
    """Each odd value in each place that is read, of each type that is read, and below each kind of content."""
    bodies = [event(value, kind=kind) for kind in ("messages.upsert", "chats.update") for value in ODD]
    for kind in ("messages.upsert", "messages.update", "messages.reaction", "chats.update"):
        bodies += [event(message(ANA) | {place: value}, kind=kind) for place in PLACES for value in ODD]
    for value in ODD:
        stub = {"messageStubType": 27, "messageStubParameters": [value, [value], {"id": value}]}
        bodies.append(event(message(ANA) | stub))
        parts = (
            "conversation",
            "extendedTextMessage",
            "videoMessage",
            "protocolMessage",
            "reactionMessage",
            "viewOnceMessage",
        )
        bodies += [event(message(ANA) | {"message": {part: value}}) for part in parts]
        bodies += [
            event(message(ANA) | {"message": {part: {"message": value, "contextInfo": value, "key": value}}})
            for part in parts
        ]
        bodies.append(
            event(
                message(ANA)
                | {"message": {"videoMessage": {"contextInfo": {"mentionedJid": value, "stanzaId": value}}}}
            )
        )
    loaded(lake, *bodies)
    rows = {name: view(lake, name) for name in UNIQUE}
    assert {name: in_duckdb(lake, name) for name in UNIQUE} == rows
    assert len(rows["whatsapp_messages"]) > 100


def test_a_payload_that_duckdb_takes_for_no_json_is_passed_over(lake: Lake) -> None:
    """As one that is nested deeper than its parser goes would be; the others are read."""
    deep: Any = "x"
    for _ in range(400):
        deep = [deep]
    loaded(lake, event(message(ANA, deep=deep, key="A")), event(message(ANA, big=1e308, key="B")))
    assert [row["message_id"] for row in sorted(in_duckdb(lake), key=lambda row: row["message_id"])] == ["A", "B"]
    assert in_duckdb(lake) == view(lake)


# --- Membership ----------------------------------------------------------------------------------------------------


def changes(lake: Lake, *stubs: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """Load messages that have these stubs; return the rows of each, which both databases have."""
    loaded(lake, *(event(message(ANA, key=f"{n:02}", **stub) | {"message": None}) for n, stub in enumerate(stubs)))
    rows = view(lake, "whatsapp_membership_changes")
    assert in_duckdb(lake, "whatsapp_membership_changes") == rows
    return [[row for row in rows if row["event_id"] == event_id(number)] for number in range(len(stubs))]


STUBS: list[tuple[Any, str | None]] = [
    (27, "join"), (31, "join"), (141, "join"), (151, "join"), (28, "remove"), (29, "promote"), (30, "demote"),
    (32, "leave"), (33, "change_number"), (71, "join_request"), (172, "join_request"),
    ("GROUP_PARTICIPANT_INVITE", "join"), ("GROUP_PARTICIPANT_LEAVE", "leave"), (21, None), (2, None), (None, None),
]  # fmt: skip


def test_each_stub_of_a_membership_by_name_and_number(lake: Lake) -> None:
    parameters = ["5500900000002@s.whatsapp.net", "5500900000002:4@s.whatsapp.net"]
    found = changes(lake, *({"messageStubType": stub, "messageStubParameters": parameters} for stub, _ in STUBS))
    said = [[(row["kind"], row["participant_jid"], row["actor_jid"]) for row in rows] for rows in found]
    assert said == [[(kind, "5500900000002@s.whatsapp.net", ANA.jid)] if kind else [] for _, kind in STUBS]


REQUESTS: list[tuple[list[str], str | None, str | None]] = [
    (['{"lid":"910000000000002@lid","pn":"5500900000001@s.whatsapp.net"}', "rejected", "invite_link"],
     "join_request_rejected", "910000000000002@lid"),
    (['{"lid":"910000000000002@lid"}', "revoked"], "join_request_revoked", "910000000000002@lid"),
    (['{"pn":"5500900000002@s.whatsapp.net"}', "created"], "join_request", "5500900000002@s.whatsapp.net"),
    (['{"lid":"5500900000002@s.whatsapp.net"}', "rejected"], "join_request_rejected", "5500900000002@s.whatsapp.net"),
    (['{"pn":"5500900000002@s.whatsapp.net"}', "rejected"], None, None),
    (['{"lid":"910000000000002@lid","name":"a\\u0000b"}', "created"], "join_request", "910000000000002@lid"),
]  # fmt: skip


def test_who_asks_to_join(lake: Lake) -> None:
    stubs = ({"messageStubType": 172, "messageStubParameters": parameters} for parameters, *_ in REQUESTS)
    said = [[(row["kind"], row["participant_jid"]) for row in rows] for rows in changes(lake, *stubs)]
    assert said == [[(kind, person)] if kind else [] for _, kind, person in REQUESTS]


# --- The views themselves ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", UNIQUE)
def test_the_database_has_the_view_that_the_shared_text_says(lake: Lake, name: str) -> None:
    """What a migration made is what DuckDB is given; after a change of the text a new migration has to make it anew."""
    text = filled(f"views/{name}", events=as_events())
    lake.connection.execute(psycopg.sql.SQL("create temp view {} as {}").format(psycopg.sql.Identifier("said"), text))
    [(said, made)] = lake.rows(f"select pg_get_viewdef('said'), pg_get_viewdef('{name}')")
    assert said == made


def as_events() -> psycopg.sql.SQL:
    return psycopg.sql.SQL(query("views/events").decode())


@pytest.mark.parametrize("name", UNIQUE)
def test_every_column_of_a_view_says_what_it_means(lake: Lake, name: str) -> None:
    silent = lake.connection.execute(
        "select attname::text from pg_attribute where attrelid = %s::text::regclass and attnum > 0"
        " and col_description(attrelid, attnum) is null",
        [name],
    )
    assert silent.fetchall() == []
    assert lake.rows(f"select obj_description('{name}'::regclass) is not null") == [(True,)]


def test_local_times_are_where_the_setting_says(lake: Lake) -> None:
    loaded(lake, event(message(ANA)))
    asked = "select sent_at_local from whatsapp_messages"
    assert lake.rows(asked) == [(clock("2026-05-21 01:14:02"),)]
    lake.connection.execute("set wpp_lake.time_zone = 'Asia/Tokyo'")
    assert lake.rows(asked) == [(clock("2026-05-21 13:14:02"),)]
    lake.connection.execute("set wpp_lake.time_zone = ''")
    assert lake.rows(asked) == [(clock("2026-05-21 01:14:02"),)]


def test_a_notebook_names_the_time_zone(lake: Lake) -> None:
    stub = message(ANA, messageStubType=32, messageStubParameters=[ANA.jid]) | {"message": None}
    loaded(lake, event(message(ANA, text="olá")), event(stub))
    in_duckdb(lake)
    assert list(notebook.messages()["sent_at_local"]) == [clock("2026-05-21 01:14:02")]
    found = notebook.messages(time_zone="Asia/Tokyo")
    assert (list(found["text"]), list(found["sent_at_local"])) == (["olá"], [clock("2026-05-21 13:14:02")])
    assert str(found["sent_at"].dtype) == "datetime64[us, UTC]"
    changes = notebook.membership_changes(time_zone="UTC")
    assert (list(changes["kind"]), list(changes["changed_at_local"])) == (["leave"], [clock("2026-05-21 04:14:02")])
    with pytest.raises(ValueError, match="no such time zone: Mars/Olympus"):
        notebook.messages(time_zone="Mars/Olympus")


def test_without_snapshots_a_notebook_says_so(lake: Lake) -> None:
    with pytest.raises(notebook.NoSnapshotError, match="no snapshots of whatsapp_events"):
        notebook.messages()
    assert lake.rows("select count(*) from whatsapp_messages") == [(0,)]


def test_an_older_snapshot_has_the_person_as_known_now(lake: Lake) -> None:
    """The file of the first date isn't written again when the phone behind its author's LID becomes known."""
    lid = participant(1, phone=False)
    loaded(lake, event(message(lid, key="M")), event(message(participant(1, lid=False), key="N")))
    in_duckdb(lake)
    later = datetime.now(UTC)
    lake.land(line(event(message(ANA, key="O")), "later", later), at=later)
    lake.load(later)
    list(write_snapshots(lake.settings, lake.snapshots, today()))
    found = notebook.messages()
    assert (len(found), found["participant_id"].nunique()) == (3, 1)


def test_a_messages_row_leads_to_its_event(lake: Lake) -> None:
    loaded(lake, event(message(ANA)))
    assert only(lake)["event_id"] == event_id(0)
