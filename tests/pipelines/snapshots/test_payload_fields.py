"""The catalogue of payload fields: what it counts, what it never shows, when it is written and when it warns."""

import io
import json
import random
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import RECEIVED, event, line
from hypothesis import given, settings
from hypothesis import strategies as st
from lake import Lake

from pipelines.landing.hours import today
from pipelines.orchestration import runs
from pipelines.snapshots import payload_fields
from pipelines.snapshots import payload_profile as fields
from pipelines.snapshots.bucket import snapshot_key
from pipelines.snapshots.hyperloglog import REGISTERS, estimate, observe
from pipelines.snapshots.payload_fields import (
    FIGURES,
    catalogue,
    figures,
    joined,
    new_paths,
    published,
    write_catalogue,
)
from pipelines.snapshots.payload_profile import Fields, shape
from pipelines.snapshots.schemas import PAYLOAD_FIELDS
from pipelines.snapshots.stale import stale_dates
from pipelines.snapshots.write import write_snapshots

DAY = RECEIVED.date()
Event = tuple[str, Any, int]


def counted(*events: Event) -> pa.Table:
    """Return the figures of events: type, payload, microsecond of receipt."""
    found = Fields()
    for kind, payload, at in events:
        found.add(kind, json.dumps(payload, ensure_ascii=False).encode("utf-8", "replace"), at)
    return figures(found)


def rows_of(*payloads: Any) -> dict[str, dict[str, Any]]:
    """Return the rows of payloads of one type, by path."""
    table = published(counted(*(("messages.upsert", payload, at) for at, payload in enumerate(payloads))))
    return {row["path"]: row for row in table.to_pylist()}


def land(lake: Lake, payload: Any, name: object = 0, at: datetime = RECEIVED, kind: str = "messages.upsert") -> None:
    """Land and load an event."""
    lake.land(line(event(payload, kind=kind), name, at), at=at)
    assert lake.load(at).quarantined == 0


def write(lake: Lake, day: date = DAY) -> list[dict[str, Any]]:
    """Write a date's events and catalogue; return the catalogue's rows."""
    list(write_snapshots(lake.settings, lake.snapshots, day))
    assert write_catalogue(lake.settings, lake.snapshots, day)
    return file(lake, day).read().to_pylist()


def content(lake: Lake, table: str, day: date) -> bytes:
    """Return the bytes of a snapshot."""
    return lake.client.get_object(Bucket=lake.settings.snapshot_bucket, Key=snapshot_key(table, day))["Body"].read()


def file(lake: Lake, day: date = DAY) -> pq.ParquetFile:
    """Open a date's catalogue."""
    return pq.ParquetFile(io.BytesIO(content(lake, "payload_fields", day)))


# What is counted


def test_a_field_has_its_share_kinds_distinct_values_and_times() -> None:
    found = rows_of({"seconds": 7}, {"seconds": "7"}, {"seconds": None}, {"seconds": True}, {}, None)["$.seconds"]
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert {name: value for name, value in found.items() if name != "sketch"} == {
        "type": "messages.upsert",
        "path": "$.seconds",
        "type_events": 6,
        "events": 4,
        "share": 4 / 6,
        "objects": 0,
        "arrays": 0,
        "strings": 1,
        "numbers": 1,
        "booleans": 1,
        "nulls": 1,
        "cut_off": 0,
        "distinct": 2,
        "first_seen_at": epoch,
        "last_seen_at": epoch + timedelta(microseconds=3),
        "example": "xxxx",
    }


def test_elements_are_one_path_and_count_each_event_once() -> None:
    found = rows_of({"ids": ["a", "b"]}, {"ids": []}, {"ids": [["c"], None]})
    assert list(found) == ["$", "$.ids", "$.ids[*]", "$.ids[*][*]"]
    items = found["$.ids[*]"]
    assert [items[name] for name in ("events", "strings", "arrays", "nulls", "distinct")] == [2, 2, 1, 1, 2]


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        ({"presences": {"5500900000001@s.whatsapp.net": {"seen": 1}}}, "$.presences.*.seen"),
        ({"key": {"0": 1, "1": 2, "10": 3}}, "$.key.*"),
        ({"votes": {"Maria": 1, "ana": 2}}, "$.votes.*"),
        ({"byId": {"3EB0C1D2E3F405162738": {"a": 1}}}, "$.byId.*.a"),
        ({"hash": {"ab12cd34": 1}}, "$.hash.*"),
        ({"many": {f"k{chr(97 + n // 26)}{chr(97 + n % 26)}": 1 for n in range(101)}}, "$.many.*"),
        ({"known": 1, "other": 2, "um texto qualquer": 3}, "$.*"),
        ({"call-id": "x"}, '$."call-id"'),
        ({"fileSha256": "x"}, "$.fileSha256"),
        ([{"owner_country_code": 1}], "$[*].owner_country_code"),
    ],
)
def test_keys_that_may_tell_of_somebody_have_no_name(payload: Any, path: str) -> None:
    assert path in rows_of(payload)


def test_an_odd_key_among_names_leaves_them_their_names() -> None:
    assert list(rows_of({"id": 1, "name": 2, "5500900000001": 3})) == ["$", "$.*", "$.id", "$.name"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("5500900000001@s.whatsapp.net", "0000000000000@s.whatsapp.net"),
        ("910000000000001:12@lid", "000000000000000:00@lid"),
        ("maria@example.test", "xxxxx@xxxxxxx.xxxx"),
        ("Élida A. Inventada, 41", "xxxxx x. xxxxxxxxx, 00"),
        ("\u0645\u0631\u062d\u0628\u0627 \u0663 \U0001f600\n", "xxxxx 0 ??"),
        ("A" * 100, "x" * 32),
        ("-12.5e+20", "-00.0x+00"),
    ],
)
def test_an_example_is_a_shape(text: str, shown: str) -> None:
    assert shape(text) == shown


@pytest.mark.parametrize("many", [0, 1, 2, 1_000, 100_000])
def test_the_distinct_estimate_is_within_three_standard_errors(many: int) -> None:
    registers = bytearray(REGISTERS)
    observe(registers, (f"55009{number:08d}@s.whatsapp.net" for number in range(many)))
    assert estimate(registers) == pytest.approx(many, rel=0.07)


# Any JSON below the limits, of few keys, so that paths and values meet; 1, 1.0, "1" and true among them.
SCALARS = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([1.0, 0.5, "1", "true", "um texto", ""])
KEYS = st.sampled_from(["a", "b", "*", "[*]", "55009@lid", "Maria", "call-id"])
PAYLOADS = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))
EVENTS = st.lists(st.tuples(st.sampled_from(["call", "groups.update", "55"]), PAYLOADS, st.integers(0, 9)), max_size=8)


@given(EVENTS, EVENTS, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_two_catalogues_joined_are_that_of_both_in_any_order(
    one: list[Event], other: list[Event], order: random.Random
) -> None:
    both = one + other
    order.shuffle(both)
    expected = counted(*both)
    assert joined(counted(*one), counted(*other)) == expected
    assert joined(counted(*other), joined(FIGURES.empty_table(), counted(*one))) == expected


def test_when_values_are_folded_makes_no_difference(
    sample: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = [json.loads(request["body"].encode("utf-8", "replace")) for request in sample]
    events = [(body["type"], body["payload"], at) for at, body in enumerate(bodies)]
    expected = counted(*events)
    monkeypatch.setattr(fields, "FOLD_BYTES", 1)
    assert counted(*events) == expected


# What is cut off


def test_what_is_too_deep_is_counted_where_it_is_cut() -> None:
    payload: Any = "bottom"
    for _ in range(512):
        payload = {"in": payload}
    found = rows_of(payload, payload)
    assert len(found) == 17
    assert {path: row["cut_off"] for path, row in found.items() if row["cut_off"]} == {"$" + ".in" * 16: 2}


def test_a_type_has_a_thousand_paths_and_counts_the_values_of_further_ones() -> None:
    payloads = [
        {f"n{chr(97 + n // 26)}{chr(97 + n % 26)}": {"x": 1} for n in range(at, at + 90)} for at in range(0, 630, 90)
    ]
    found = rows_of(*payloads)
    assert len(found) == 1_000
    assert sum(row["cut_off"] for row in found.values()) == 131  # 630 objects, and 499 of 630 fields in them


def test_types_that_are_no_names_or_too_many_are_one() -> None:
    events = [(f"type{chr(97 + n // 26)}{chr(97 + n % 26)}", None, n) for n in range(70)]
    found = counted(("5500900000001", None, 0), *events).to_pylist()
    assert (len(found), found[0]["type"], found[0]["events"]) == (64, "*", 8)


# The files


def load_sample(lake: Lake, sample: list[dict[str, Any]]) -> None:
    """Load the sample, as received within a second."""
    lake.land(*(
        line(request["body"].encode(), request["n"], RECEIVED + timedelta(milliseconds=request["n"]))
        for request in sample
    ))  # fmt: skip
    assert lake.load().loaded == 300


def test_every_path_of_the_sample_leads_duckdb_to_as_many_events(lake: Lake, sample: list[dict[str, Any]]) -> None:
    """All but one: a message has a key with NUL beside its conversation, half of its keys, so that it is a map."""
    load_sample(lake, sample)
    found = [row for row in write(lake) if ".*" not in row["path"]]
    assert len(found) == 485
    with duckdb.connect() as database:
        database.register("events", pq.read_table(io.BytesIO(content(lake, "whatsapp_events", DAY))))
        differing = [row["path"] for row in found if events_at(database, row["type"], row["path"]) != row["events"]]
    assert differing == ["$.message.conversation"]


def events_at(database: duckdb.DuckDBPyConnection, kind: str, path: str) -> int:
    """Count the events of a type that have a path; one with [*] gives a list, of what there is."""
    value = f"json_extract(payload, '{path}')"
    there = f"nullif(len({value}), 0)" if "[*]" in path else value
    [(events,)] = database.execute(f"select count({there}) from events where type = ?", [kind]).fetchall()  # noqa: S608  a path has to be a constant there
    return int(events)


def test_two_fields_of_the_sample(lake: Lake, sample: list[dict[str, Any]]) -> None:
    load_sample(lake, sample)
    rows = {row["path"]: row for row in write(lake) if row["type"] == "messages.upsert"}
    first, last = ("2026-05-21 04:14:02.125456+00:00", "2026-05-21 04:14:02.423456+00:00")
    names = [name for name in PAYLOAD_FIELDS.names[2:] if name != "sketch"]
    shown = [[str(rows[path][name]) for name in names] for path in ("$.key.participant", "$.messageTimestamp")]
    jid, seconds = "0000000000000@s.whatsapp.net", "0000000000"
    assert shown == [
        ["148", "143", str(143 / 148), "0", "0", "143", "0", "0", "0", "0", "59", first, last, jid],
        ["148", "148", "1.0", "1", "0", "51", "96", "0", "0", "0", "145", first, last, seconds],
    ]


@pytest.mark.parametrize("rows", [0, 1])
def test_a_file_has_its_schema_and_the_events_revision_and_moment(lake: Lake, rows: int) -> None:
    if rows:
        land(lake, [])
    assert len(write(lake)) == rows
    assert file(lake).schema_arrow.equals(PAYLOAD_FIELDS)
    events, own = (
        lake.client.head_object(Bucket=lake.settings.snapshot_bucket, Key=snapshot_key(table, DAY))["Metadata"]
        for table in ("whatsapp_events", "payload_fields")
    )
    assert (own["revision"], own["state_at"]) == (events["revision"], events["state_at"])
    assert (own["schema_version"], own["row_count"]) == ("2", str(rows))


def test_pandas_and_duckdb_read_a_file_without_help(lake: Lake, tmp_path: Path) -> None:
    land(lake, {"id": "a"})
    write(lake)
    path = tmp_path / "payload_fields.parquet"
    path.write_bytes(content(lake, "payload_fields", DAY))
    expected = [("$", 1.0), ("$.id", 1.0)]
    assert list(pd.read_parquet(path)[["path", "share"]].itertuples(index=False, name=None)) == expected
    assert duckdb.sql(f"select path, share from '{path}'").fetchall() == expected  # noqa: S608  a file's name


def test_nothing_that_somebody_wrote_or_is_gets_into_a_file(lake: Lake) -> None:
    """Phones, names, texts and ids: as values, as keys, in lists, in text that is JSON, in a type."""
    phone, name, text, key = "5500912345678", "Zuleica Inventada", "encontro às nove na praça", "3EB0C431C26A1916E2F3"
    said = [
        phone,
        f"{phone}@s.whatsapp.net",
        f"{phone}-1500000000@g.us",
        name,
        "Zuleica",
        text,
        key,
        text.upper(),
        int(phone),
    ]
    land(lake, {"values": said, "text": json.dumps({name: phone}), **{str(word): {str(word): word} for word in said}})
    land(lake, {"presences": {f"{phone}@s.whatsapp.net": {"name": name, "last": {text: key}}}}, 1)
    land(lake, [], 2, kind=phone)
    assert len(write(lake)) >= 9
    with duckdb.connect() as database:
        rows = database.from_arrow(file(lake).read()).fetchall()
    bare = repr((rows, file(lake).metadata.metadata)) + content(lake, "payload_fields", DAY).decode("latin-1")
    words = [phone, phone[-8:], "Zuleica", "Inventada", "encontro", "praça", "nove", key, key[:8]]
    assert [word for word in words if word.lower() in bare.lower()] == []


def test_hard_payloads_are_taken(lake: Lake) -> None:
    """8 MB, 20 digits, what no float holds, 500 levels, and a key of emoji."""
    deep: Any = 1
    for _ in range(500):
        deep = [deep]
    land(lake, {"digits": 12345678901234567890, "more": -98765432109876543210, "deep": deep})
    land(lake, {"text": "x\U0001f600" * 1_600_000, "\U0001f600": "\x00"}, 1)
    for name, number in enumerate(("1e400", "1" * 6000)):
        lake.land(line(event({"digits": 0}).replace(b'"digits": 0', f'"digits": {number}'.encode()), number))
        assert lake.load().quarantined == 0, name
    rows = {row["path"]: row for row in write(lake)}
    assert [rows["$.digits"][name] for name in ("numbers", "distinct")] == [3, 3]
    assert rows["$.deep" + "[*]" * 15]["cut_off"] == 1


# When it is written


def test_a_snapshot_writes_the_catalogue_of_what_changed_and_leaves_the_rest(
    lake: Lake, instance: dg.DagsterInstance
) -> None:
    def written() -> list[str]:
        return [uri.split("/", 3)[3] for uri, _ in runs.run_snapshots() if "payload_fields" in uri]

    later = RECEIVED + timedelta(days=1)
    land(lake, {"id": 1}, 1)
    land(lake, {"id": 1}, 2, later)
    every = [snapshot_key("payload_fields", day) for day in (DAY, later.date(), today())]
    assert (written(), written()) == (every, [])
    land(lake, {"late": 1}, 3)
    assert written() == every[:1]
    assert [row["path"] for row in file(lake).read().to_pylist()] == ["$", "$.id", "$.late"]
    assert instance.get_runs_count() == 5


def test_a_date_whose_events_are_there_and_whose_catalogue_is_not_is_stale(lake: Lake) -> None:
    land(lake, [])
    for day in (DAY, today()):
        list(write_snapshots(lake.settings, lake.snapshots, day))
    assert stale_dates(lake.connection) == [DAY, today()]
    for day in (DAY, today()):
        assert write_catalogue(lake.settings, lake.snapshots, day, only_stale=True)
        assert write_catalogue(lake.settings, lake.snapshots, day, only_stale=True) is None
    assert stale_dates(lake.connection) == []


def test_a_date_without_events_snapshot_has_no_catalogue(lake: Lake) -> None:
    assert write_catalogue(lake.settings, lake.snapshots, DAY) is None
    list(write_snapshots(lake.settings, lake.snapshots, DAY))
    written = write_catalogue(lake.settings, lake.snapshots, DAY)
    assert written
    assert (written.table, written.key, written.rows) == (
        "payload_fields", "payload_fields/date=2026-05-21/payload_fields.parquet", 0
    )  # fmt: skip


def test_the_same_rows_give_the_same_file(lake: Lake, sample: list[dict[str, Any]]) -> None:
    load_sample(lake, sample)
    assert write(lake) == write(lake)


def test_the_catalogue_of_all_dates_is_that_of_their_events_together(lake: Lake, sample: list[dict[str, Any]]) -> None:
    days = [DAY + timedelta(days=number) for number in range(3)]
    for request in sample:
        at = RECEIVED + timedelta(days=request["n"] % 3)
        lake.land(line(request["body"].encode(), request["n"], at), at=at)
    together = Fields()
    for number, day in enumerate(days):
        lake.load(RECEIVED + timedelta(days=number))
        write(lake, day)
        for row in pq.read_table(io.BytesIO(content(lake, "whatsapp_events", day))).to_pylist():
            together.add(row["type"], row["payload"].encode(), round(row["received_at"].timestamp() * 1_000_000))
    assert catalogue(lake.settings) == published(figures(together))
    assert len(catalogue(lake.settings, since=days[1], until=days[1])) == len(file(lake, days[1]).read())


def test_a_catalogue_of_very_many_paths_has_those_of_most_events(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for number, payload in enumerate(({"often": 1}, {"often": 1}, {"seldom": 1}, {"once": 1})):
        land(lake, payload, number)
    land(lake, [], "other", kind="call")
    write(lake)
    monkeypatch.setattr(payload_fields, "MAX_ROWS", 3)
    assert [(row["type"], row["path"]) for row in catalogue(lake.settings).to_pylist()] == [
        ("call", "$"),
        ("messages.upsert", "$"),
        ("messages.upsert", "$.often"),
    ]
    told = [record.getMessage() for record in caplog.records if record.name == payload_fields.__name__]
    assert told == ["2 payload paths left out"]


def test_the_catalogue_of_many_dates_keeps_what_is_frequent_over_all_of_them(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it was rare on the first ones."""
    monkeypatch.setattr(payload_fields, "MAX_ROWS", 3)
    for number, payload in enumerate([{"a": 1, "b": 1}, {"c": 1, "d": 1}, {"d": 1}]):
        day = DAY + timedelta(days=number)
        land(lake, payload, number, RECEIVED + timedelta(days=number))
        write(lake, day)
    assert catalogue(lake.settings)["path"].to_pylist() == ["$", "$.a", "$.d"]


@pytest.mark.parametrize(("start", "end", "counts"), [(b"[", b"]", (0, 1)), (b'{"a":[', b"]}", (1, 0))])
def test_a_payload_deeper_than_a_parser_goes_is_cut_off(start: bytes, end: bytes, counts: tuple[int, int]) -> None:
    found = Fields()
    found.add("x", start * 1_000_000 + end * 1_000_000, 1)
    ((kind, field),) = found
    assert (kind, field.path, field.events, field.cut_off) == ("x", "$", 1, 1)
    assert (field.objects, field.arrays) == counts


# When it warns


def checked(instance: dg.DagsterInstance, day: date) -> tuple[bool, Any, list[str]]:
    """Write a date's snapshots; return whether the check passed, the new paths that it names, and the warnings."""
    list(runs.run_snapshots(day))
    logged = instance.all_logs(instance.get_runs(limit=1)[0].run_id)
    checks = [
        entry.dagster_event.asset_check_evaluation_data
        for entry in logged
        if entry.dagster_event and entry.dagster_event.event_type_value == "ASSET_CHECK_EVALUATION"
    ]
    [check] = [each for each in checks if each.check_name == "no_new_paths"]
    assert check.severity is dg.AssetCheckSeverity.WARN
    warnings = [entry.user_message for entry in logged if entry.level == 30]
    return check.passed, check.metadata["by_type"].value, warnings


def test_a_path_never_seen_for_its_type_is_a_warning_that_names_it(lake: Lake, instance: dg.DagsterInstance) -> None:
    land(lake, {"id": 1, "old": 1}, 1)
    assert checked(instance, DAY) == (True, {}, [])
    land(lake, {"id": 1}, 2, RECEIVED + timedelta(days=1))
    land(lake, {"id": 1}, 3, RECEIVED + timedelta(days=1), kind="call")
    assert checked(instance, DAY + timedelta(days=1)) == (
        False,
        {"call": ["$", "$.id"]},
        ["call: 2 new payload paths: $, $.id"],
    )
    land(lake, {"id": 1, "old": 1, "editedBy": {"at": 1}}, 4, RECEIVED + timedelta(days=2))
    new = ["$.editedBy", "$.editedBy.at"]
    for _ in range(2):
        assert checked(instance, DAY + timedelta(days=2)) == (
            False,
            {"messages.upsert": new},
            ["messages.upsert: 2 new payload paths: $.editedBy, $.editedBy.at"],
        )
    land(lake, {"id": 1, "editedBy": {"at": 1}}, 5, RECEIVED + timedelta(days=3))
    assert checked(instance, DAY + timedelta(days=3)) == (True, {}, [])


def test_the_first_events_of_all_are_no_warning_though_an_empty_catalogue_came_before(lake: Lake) -> None:
    write(lake, DAY)
    land(lake, {"id": 1}, 1, RECEIVED + timedelta(days=1))
    write(lake, DAY + timedelta(days=1))
    assert new_paths(lake.snapshots, DAY + timedelta(days=1)) == {}
