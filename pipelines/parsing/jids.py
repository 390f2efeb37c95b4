"""WhatsApp addresses, normalised: LIDs, phones and groups.

Belongs here: one address, or the addresses of one person. Not: where a payload keeps them (rules), nor which
LID belongs to which phone over time (sql/observations).
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

# A device (:12), agent (_1) or old-style (.0) suffix names the same person. A LID is all digits and looks like a
# phone: only the server part tells them apart.
_PERSON = re.compile(r"([0-9]{5,20})(?:[._][0-9]+)?(?::[0-9]+)?@(s\.whatsapp\.net|c\.us|hosted|lid|hosted\.lid)")
_BARE_PHONE = re.compile(r"\+?([0-9]{10,15})")
MAX_JID = 255  # characters, as in the envelope
_LID_SERVERS = frozenset({"lid", "hosted.lid"})


@dataclass(frozen=True, slots=True)
class Person:
    """The addresses that one body shows of one person, as digits; at least one of them is known.

    `jids` are the addresses in full, the LID before the phone; `jid` is the one to know the person by: the phone's
    where it is shown, else the LID's.
    """

    lid: str | None = None
    phone: str | None = None
    jids: tuple[str, ...] = field(init=False, repr=False, compare=False)
    jid: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "jids", tuple(jid for jid in (self.lid_jid, self.phone_jid) if jid is not None))
        object.__setattr__(self, "jid", self.jids[-1])

    @property
    def lid_jid(self) -> str | None:
        """`<digits>@lid`, where the LID is known."""
        return None if self.lid is None else f"{self.lid}@lid"

    @property
    def phone_jid(self) -> str | None:
        """`<digits>@s.whatsapp.net`, where the phone is known."""
        return None if self.phone is None else f"{self.phone}@s.whatsapp.net"


def person(*addresses: Any) -> Person | None:
    """Return the person whose addresses these are: the first LID and the first phone among them, None without any.

    Groups, broadcasts, newsletters, bots and whatever isn't an address are passed over. A phone with the digits of the
    LID is that LID written twice.
    """
    lid = phone = None
    for address in addresses:
        if address and isinstance(address, str) and len(address) <= MAX_JID:
            as_lid, as_phone = _read(address)
            lid, phone = lid or as_lid, phone or as_phone
    return known(lid, phone) if lid or phone else None


@lru_cache(maxsize=1 << 16)
def known(lid: str | None, phone: str | None) -> Person:
    """Return the person with these digits, made once: the same few people write most of the messages."""
    return Person(lid, None if phone == lid else phone)


@lru_cache(maxsize=1 << 16)
def _read(address: str) -> tuple[str | None, str | None]:
    """Return the digits of an address: as a LID or as a phone, both None for what is neither."""
    match = _PERSON.fullmatch(address)
    if match is None:
        return None, None
    digits, server = match.groups()
    return (digits, None) if server in _LID_SERVERS else (None, digits)


def bare_phone(address: Any) -> Person | None:
    """Return the person of a phone written without a server, as the first contract's envelope may have it."""
    match = _BARE_PHONE.fullmatch(address) if isinstance(address, str) else None
    return known(None, match[1]) if match else None


def group_jid(address: Any) -> str | None:
    """Return `address` if it is a group's. An old-style group id holds a phone number: it is never taken apart."""
    if isinstance(address, str) and address.endswith("@g.us") and len("@g.us") < len(address) <= MAX_JID:
        return address
    return None
