"""Addresses and points in time."""

from datetime import UTC, datetime

import pytest

from pipelines.parsing.jids import Person, bare_phone, group_jid, person
from pipelines.parsing.timestamps import point_in_time

MOMENT = datetime(2025, 10, 10, 13, 6, 37, tzinfo=UTC)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("5511900000001@s.whatsapp.net", Person(phone="5511900000001")),
        ("5511900000001:12@s.whatsapp.net", Person(phone="5511900000001")),
        ("5511900000001_1:2@c.us", Person(phone="5511900000001")),
        ("5511900000001@hosted", Person(phone="5511900000001")),
        ("910100000000001@lid", Person(lid="910100000000001")),
        ("910100000000001.1:0@lid", Person(lid="910100000000001")),
        ("910100000000001@hosted.lid", Person(lid="910100000000001")),
        ("120363000000000001@g.us", None),
        ("status@broadcast", None),
        ("120363000000000001@newsletter", None),
        ("867051314767696@bot", None),
        ("1234@s.whatsapp.net", None),
        ("5511900000001@s.whatsapp.net\n", None),
        ("٥٥١١٩٠٠٠٠٠٠٠١@s.whatsapp.net", None),
        ("", None),
        (None, None),
        (5511900000001, None),
    ],
)
def test_an_address_is_told_by_its_server(address: object, expected: Person | None) -> None:
    assert person(address) == expected


def test_the_addresses_of_one_person_are_joined() -> None:
    assert person("910100000000001:3@lid", None, "", "5511900000001@c.us") == Person("910100000000001", "5511900000001")


def test_a_person_is_known_by_the_phone_else_by_the_lid() -> None:
    lid, phone = "910100000000001@lid", "5511900000001@s.whatsapp.net"
    known = [person(lid, phone), person(lid), person(phone), person("5511900000001@lid", phone)]
    assert [each and (each.jid, each.jids) for each in known] == [
        (phone, (lid, phone)),
        (lid, (lid,)),
        (phone, (phone,)),
        ("5511900000001@lid", ("5511900000001@lid",)),
    ]


@pytest.mark.parametrize(("length", "taken"), [(255, True), (256, False)])
def test_an_address_has_at_most_255_characters(length: int, taken: bool) -> None:
    device, number = "910100000000001:@lid", "@g.us"
    longest = device.replace(":", ":" + "1" * (length - len(device)))
    assert person(longest) == (Person(lid="910100000000001") if taken else None)
    assert (group_jid("1" * (length - len(number)) + number) is not None) is taken


@pytest.mark.parametrize(
    ("address", "phone"), [("+5511900000001", "5511900000001"), ("5511900000001", "5511900000001"), ("123", None)]
)
def test_a_bare_phone_has_ten_to_fifteen_digits(address: str, phone: str | None) -> None:
    assert bare_phone(None) is None
    assert bare_phone(address) == (Person(phone=phone) if phone else None)


@pytest.mark.parametrize(
    ("address", "is_group"),
    [("5500-1500000000@g.us", True), ("1@g.us", True), ("@g.us", False), ("x@lid", False), (None, False),
     ("9" * 300 + "@g.us", False)],
)  # fmt: skip
def test_a_group_is_told_by_its_server(address: str | None, is_group: bool) -> None:
    assert group_jid(address) == (address if is_group else None)


@pytest.mark.parametrize(
    "value",
    [
        1760101597,
        1760101597.0,
        1760101597000,
        1760101597000000,
        "1760101597",
        "1760101597000",
        "1760101597.000000000",
        1760101596999.9999,
        {"low": 1760101597, "high": 0, "unsigned": True},
        {"low": -834994360, "high": 409, "unsigned": False},
        "2025-10-10T13:06:37Z",
        "2025-10-10t13:06:37z",
        "2025-10-10T10:06:37-03:00",
        "2025-10-10T13:06:37",
        "2025-10-10 13:06:37+00:00",
    ],
)
def test_every_way_of_writing_one_moment(value: object) -> None:
    assert point_in_time(value) == MOMENT


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (1230768000, datetime(2009, 1, 1, tzinfo=UTC)),
        (1230767999, None),
        (1230768000000, datetime(2009, 1, 1, tzinfo=UTC)),
        (1230767999999, None),
        (4102444799, datetime(2099, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (4102444800, None),
        (4102444800000000, None),
        ("2009-01-01T00:00:00Z", datetime(2009, 1, 1, tzinfo=UTC)),
        ("2008-12-31T23:59:59.999999Z", None),
        ("2099-12-31T23:59:59Z", datetime(2099, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("2100-01-01T00:00:00Z", None),
    ],
)
def test_a_moment_is_of_the_years_2009_to_2099(value: object, moment: datetime | None) -> None:
    assert point_in_time(value) == moment


def test_microseconds_are_kept() -> None:
    assert point_in_time("2025-10-10T13:06:37.123456Z") == MOMENT.replace(microsecond=123456)


@pytest.mark.parametrize(
    "value",
    [None, True, 0, -1, 1, 10**30, float("inf"), "", "soon", "2025-13-01", "9999-12-31T23:59:59-14:00",
     "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z", "2008-12-31T23:59:59Z",
     [], {}, {"low": 1}, {"low": None, "high": 0}, "١٧٦٠١٠١٥٩٧"],
)  # fmt: skip
def test_what_writes_no_moment_is_none(value: object) -> None:
    assert point_in_time(value) is None
