"""The weeks of an invented community: who writes, answers, reacts, joins and leaves, and when.

Belongs here: what happens, in its order. Not: who there is (people), shapes (payloads), words. Everything follows from
a seed and the last day, so the same weeks are always the same events, with the same ids.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from typing import Any, NamedTuple

from devstack.community import payloads, words
from devstack.community.people import WEEKDAYS, Group, Person, community

BRAZIL = timezone(timedelta(hours=-3))  # without daylight saving time since 2019
DAY, WEEK = timedelta(days=1), timedelta(weeks=1)
CONVERSATIONS = 5.0  # a weekday in a group of level 1
ANSWERS = 8.0  # of a conversation, on average
GAP = (3.7, 1.1)  # seconds between messages: the logarithm's mean and deviation
# How often, of messages.
REPLY, MENTION, LINK, REACTED, EDITED, REVOKED, UNDECRYPTED, FORWARDED = 0.3, 0.07, 0.03, 0.22, 0.02, 0.012, 0.025, 0.04
RECOVERED = 0.7  # of the undecrypted ones: their text comes with chats.update, else by a second delivery, or never
COPIED = 0.75  # of the others: chats.update repeats them
BY_ADMIN = 0.25  # of the deletions
TAKEN_BACK = 0.05  # of the reactions
QUIET_WEEK = 0.2
KINDS = {"text": 80, "image": 7, "voice": 5, "sticker": 4, "video": 2, "document": 1, "poll": 0.5, "location": 0.3}
# Media: the payload's key, the type, and how many seconds one lasts on average.
MEDIA = {
    "image": ("imageMessage", "image/jpeg", 0),
    "voice": ("audioMessage", "audio/ogg; codecs=opus", 14),
    "sticker": ("stickerMessage", "image/webp", 0),
    "video": ("videoMessage", "video/mp4", 25),
    "document": ("documentMessage", "application/pdf", 0),
}
OF_A_KIND: dict[str, dict[str, Any]] = {
    "image": {"height": 1280, "width": 720},
    "voice": {"ptt": True},
    "sticker": {"height": 64, "width": 64},
}
CAPTIONED = 0.4  # of the images


class Event(NamedTuple):
    """One event: when it happens, and what the collector sends of it."""

    at: datetime
    type: str
    chat: str
    id: str
    payload: dict[str, Any]


@dataclass
class Said:
    """A message of a conversation, as others refer to it."""

    id: str
    author: Person
    content: dict[str, Any]
    at: datetime


def events(weeks: int, last: date, *, people: int = 300, groups: int = 12, seed: int = 1) -> list[Event]:
    """Return what happens in so many weeks that end with the last day, in the order of time."""
    chance = random.Random(f"{seed} {weeks} {last} {people} {groups}")  # noqa: S311  no secret
    begin = datetime.combine(last + DAY, time(), BRAZIL) - weeks * WEEK
    found: list[Event] = []
    for group in community(chance, weeks, people, groups):
        story = _Story(chance, group, begin, weeks)
        found += story.events()
    return sorted((event for event in found if event.at < begin + weeks * WEEK), key=lambda event: (event.at, event.id))


class _Story:
    """One group's weeks."""

    def __init__(self, chance: random.Random, group: Group, begin: datetime, weeks: int) -> None:
        self._chance, self._group, self._begin, self._weeks = chance, group, begin, weeks
        self._quiet = {
            (person.lid, week) for person in group.members[1:] for week in range(weeks) if chance.random() < QUIET_WEEK
        }

    def events(self) -> Iterator[Event]:
        """Yield everything, in no order."""
        for week in range(self._weeks):
            yield from self._metadata(self._begin + week * WEEK + timedelta(minutes=self._chance.randrange(600)))
        yield from self._memberships()
        yield from self._renames()
        for day in range(7 * self._weeks):
            midnight = self._begin + day * DAY
            expected = CONVERSATIONS * self._group.level * WEEKDAYS[midnight.weekday()]
            for _ in range(int(expected + self._chance.random())):
                yield from self._conversation(midnight)

    def _there(self, at: datetime, *, awake: bool = False) -> list[Person]:
        """Return who is in the group at a moment; `awake`: and writes in that week."""
        week = (at - self._begin) / WEEK
        there = [person for person in self._group.members if person.begin <= week < person.end]
        return [person for person in there if not awake or (person.lid, int(week)) not in self._quiet]

    def _event(self, at: datetime, kind: str, payload: dict[str, Any], *identity: str) -> Event:
        return Event(at, kind, self._group.jid, payloads.event_id(kind, self._group.jid, *identity), payload)

    def _upsert(self, at: datetime, payload: dict[str, Any]) -> Event:
        return self._event(at, "messages.upsert", payload, payload["key"]["id"])

    def _notice(self, at: datetime, person: Person, kind: str, *parameters: str) -> Event:
        number = str(self._chance.getrandbits(32))
        return self._upsert(at, payloads.stub(self._group, number, person, at, kind, *parameters))

    def _metadata(self, at: datetime) -> Iterator[Event]:
        payload = payloads.metadata(self._group, self._there(at), at)
        yield self._event(at, "groups.metadata", payload, at.isoformat())

    def _memberships(self) -> Iterator[Event]:
        group, admin = self._group, self._group.admin
        for person in group.members[1:]:
            for week, kind, action in (
                (person.begin, "GROUP_PARTICIPANT_ADD", "add"),
                (person.end, "GROUP_PARTICIPANT_LEAVE", "remove"),
            ):
                if not 0 < week < self._weeks:
                    continue
                at = self._begin + week * WEEK + timedelta(seconds=self._chance.randrange(3600))
                author = admin if action == "add" else person
                yield self._notice(at, author, kind, payloads.member_text(group, person))
                update = {
                    "id": group.jid,
                    "author": author.addresses(group.mode)[0],
                    "participants": [payloads.member(group, person)],
                    "action": action,
                }
                yield self._event(at, "group-participants.update", update, action, person.lid)

    def _renames(self) -> Iterator[Event]:
        for week in range(2, self._weeks, 3):
            at = self._begin + week * WEEK + timedelta(hours=self._chance.uniform(10, 100))
            subject, by = f"{self._group.subject} {self._chance.choice(words.NAMES)}", self._group.admin
            yield self._notice(at, by, "GROUP_CHANGE_SUBJECT", subject)
            update = {"id": self._group.jid, "subject": subject, "author": by.addresses(self._group.mode)[0]}
            yield self._event(at, "groups.update", update, subject)
            yield self._event(at, "chats.update", {"id": self._group.jid, "name": subject}, subject)

    def _conversation(self, midnight: datetime) -> Iterator[Event]:
        chance = self._chance
        awake = self._there(midnight + DAY / 2, awake=True)
        if len(awake) < 2:  # noqa: PLR2004  nobody talks alone
            return
        (starter,) = chance.choices(awake, [person.weight for person in awake])
        at = midnight + timedelta(hours=chance.gauss(starter.peak, 1.6) % 24)
        near = [person.weight / (1 + abs(person.peak - starter.peak)) for person in awake]
        talking = [starter, *chance.choices(awake, near, k=1 + min(9, int(chance.expovariate(0.35))))]
        said: list[Said] = []
        for number in range(2 + min(60, int(chance.expovariate(1 / ANSWERS)))):
            others = [person for person in talking if not said or person is not said[-1].author] or talking
            author = starter if number == 0 else chance.choice(others)
            at += timedelta(seconds=chance.lognormvariate(*GAP))
            yield from self._message(author, at, said)

    def _message(self, author: Person, at: datetime, said: list[Said]) -> Iterator[Event]:
        """Yield a message with what follows from it: its copy, reactions, votes, its edit or deletion."""
        chance, group = self._chance, self._group
        (kind,) = chance.choices(list(KINDS), list(KINDS.values()))
        said.append(this := Said(payloads.message_id(chance), author, self._content(kind, at, said), at))
        message = payloads.upsert(group, this.id, author, at, this.content)
        if chance.random() < UNDECRYPTED:
            yield self._upsert(at, payloads.undecrypted(group, this.id, author, at))
            how, later = chance.random(), at + timedelta(minutes=chance.uniform(0.1, 90))
            if how < RECOVERED:
                yield self._event(later, "chats.update", payloads.copy(group, message), this.id)
            elif how < (1 + RECOVERED) / 2:
                yield self._upsert(later, message)
            return
        yield self._upsert(at, message)
        if chance.random() < COPIED:
            yield self._event(at, "chats.update", payloads.copy(group, message), this.id)
        if kind == "poll":
            yield from self._votes(this)
        if chance.random() < REACTED:
            yield from self._reactions(this)
        if kind == "text" and chance.random() < EDITED:
            yield from self._edit(this)
        if chance.random() < REVOKED:
            yield from self._revoke(this)

    def _content(self, kind: str, at: datetime, said: list[Said]) -> dict[str, Any]:
        """Return what a message of this kind holds."""
        chance, context = self._chance, self._context(said)
        if kind in MEDIA:
            name, mimetype, seconds = MEDIA[kind]
            more: dict[str, Any] = {"contextInfo": context} if context else {}
            if seconds:
                more["seconds"] = 1 + int(chance.expovariate(1 / seconds))
            if kind in OF_A_KIND:
                more |= OF_A_KIND[kind]
            if kind == "image" and chance.random() < CAPTIONED:
                more["caption"] = words.answer(chance)
            if kind == "document":
                more["fileName"] = chance.choice(words.FILES)
            size = str(int(chance.lognormvariate(12, 1)))
            return payloads.media(chance, name, mimetype, at, fileLength=size, **more)
        if kind == "poll":
            return payloads.poll(*chance.choice(words.POLLS))
        if kind == "location":
            return {"locationMessage": {"degreesLatitude": -23.5, "degreesLongitude": -46.6, "name": "Lugar Nenhum"}}
        if chance.random() < LINK:
            return payloads.link(words.answer(chance), *chance.choice(words.LINKS))
        return payloads.text(words.answer(chance) if said else words.opening(chance), context)

    def _context(self, said: list[Said]) -> dict[str, Any]:
        """Return what a message refers to: an earlier one, people, that it was forwarded."""
        chance, found = self._chance, dict[str, Any]()
        if said and chance.random() < REPLY:
            quoted = said[-1 - min(len(said) - 1, int(chance.expovariate(0.7)))]
            found |= {"stanzaId": quoted.id, "participant": quoted.author.addresses(self._group.mode)[0]}
            found["quotedMessage"] = quoted.content
        if said and chance.random() < MENTION:
            found["mentionedJid"] = [chance.choice(said).author.addresses(self._group.mode)[0]]
        if chance.random() < FORWARDED:
            found |= {"isForwarded": True, "forwardingScore": chance.choice((1, 1, 2, 5))}
        return found

    def _votes(self, this: Said) -> Iterator[Event]:
        chance, there = self._chance, self._there(this.at, awake=True)
        for voter in chance.sample(there, min(len(there), 3 + int(chance.expovariate(0.1)))):
            at = this.at + timedelta(minutes=chance.expovariate(1 / 40))
            content = payloads.vote(chance, self._group, this.id, this.author, at)
            yield self._upsert(at, payloads.upsert(self._group, payloads.message_id(chance), voter, at, content))

    def _reactions(self, this: Said) -> Iterator[Event]:
        chance, there = self._chance, self._there(this.at, awake=True)
        weights = [person.weight for person in there]
        chosen = chance.choices(there, weights, k=1 + min(7, int(chance.expovariate(0.8))))
        for person in dict.fromkeys(chosen):  # a set has another order in each process
            at, emoji = this.at + timedelta(seconds=chance.lognormvariate(4.5, 1.2)), chance.choice(words.EMOJIS)
            yield from self._reaction(this, person, emoji, at)
            if chance.random() < TAKEN_BACK:
                yield from self._reaction(this, person, "", at + timedelta(seconds=chance.uniform(2, 200)))

    def _reaction(self, this: Said, person: Person, emoji: str, at: datetime) -> Iterator[Event]:
        group, number = self._group, payloads.message_id(self._chance)
        content = payloads.reaction_message(group, this.id, this.author, emoji, at)
        yield self._upsert(at, payloads.upsert(group, number, person, at, content))
        named = payloads.target(group, this.id, this.author)
        event = payloads.reaction(payloads.key(group, number, person), named, emoji, at)
        yield self._event(at, "messages.reaction", event, this.id, person.lid, emoji)

    def _edit(self, this: Said) -> Iterator[Event]:
        group, at = self._group, this.at + timedelta(seconds=self._chance.uniform(5, 800))
        said, number = words.answer(self._chance), payloads.message_id(self._chance)
        content = payloads.edit(group, this.id, said, at)
        yield self._upsert(at, payloads.upsert(group, number, this.author, at, content))
        yield self._event(
            at, "messages.update", payloads.edited(group, this.id, this.author, said, at), this.id, "edit"
        )

    def _revoke(self, this: Said) -> Iterator[Event]:
        group, at = self._group, this.at + timedelta(seconds=self._chance.uniform(5, 4000))
        by = group.admin if self._chance.random() < BY_ADMIN else this.author
        number = payloads.message_id(self._chance)
        yield self._upsert(at, payloads.upsert(group, number, by, at, payloads.revoke(group, this.id, this.author)))
        update = payloads.revoked(group, this.id, by, number)
        yield self._event(at, "messages.update", update, this.id, "revoke", by.lid)
