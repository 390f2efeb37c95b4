"""The people and groups of an invented community: names, addresses, habits.

Belongs here: who there is, and how somebody is. Not: what they do (weeks), what that looks like on the wire (payloads).
Numbers are of no real network: +55 00 isn't assigned.
"""

import random
from dataclasses import dataclass, field

FIRST = (
    "Alba", "Breno", "Cátia", "Dário", "Élida", "Fábio", "Gisa", "Heitor", "Iara", "Jonas", "Kênia", "Leôncio", "Mirna",
    "Nilo", "Odete", "Plínio", "Quitéria", "Ruan", "Sônia", "Túlio", "Úrsula", "Vicente", "Wanda", "Xisto", "Yara",
    "Zeca", "Aurora", "Bento", "Clarice", "Davi",
)  # fmt: skip
LAST = ("Abacate", "Brisa", "Capim", "Dendê", "Estrela", "Figueira", "Girassol", "Horta", "Ipê", "Jatobá")
SUBJECTS = {
    "Geral": 1.0,
    "Vagas": 0.35,
    "Python": 0.8,
    "Frontend": 0.7,
    "Iniciantes": 0.9,
    "Dados": 0.5,
    "Games": 0.75,
    "Off-topic ☕": 1.3,
    "Eventos": 0.25,
    "Inglês": 0.3,
    "Carreira": 0.45,
    "Moderação": 0.2,
}
LATE = 0.25  # of the people: they come after the first week
HIDES_PHONE = 0.12
STAYS = 0.7
OLD_EVERY = 6  # of so many groups one is of before 2022: another form of address, and phones are shown
PEAKS = (9.5, 12.5, 20.5, 22.5)  # local hours at which people like to write
WEEKDAYS = (1.0, 1.05, 1.1, 1.05, 0.95, 0.6, 0.55)  # from Monday


@dataclass(frozen=True)
class Person:
    """Somebody: two addresses, a name, how much and when they write, and in which weeks they are there at all."""

    lid: str
    phone: str
    name: str
    hides_phone: bool
    weight: float
    peak: float
    begin: float  # in weeks since the first
    end: float

    def addresses(self, mode: str) -> tuple[str, str | None]:
        """Return the address that a group of this mode shows, and the other one, unless it is hidden."""
        shown, other = (self.lid, self.phone) if mode == "lid" else (self.phone, self.lid)
        return shown, None if self.hides_phone and mode == "lid" else other


@dataclass
class Group:
    """A group: its address and name, how lively it is, who is in it from the start, and who runs it."""

    jid: str
    subject: str
    mode: str
    level: float
    members: list[Person] = field(default_factory=list)

    @property
    def admin(self) -> Person:
        """The one who made it."""
        return self.members[0]


def community(chance: random.Random, weeks: int, people: int, groups: int) -> list[Group]:
    """Return so many groups, with so many people between them, most of whom write little."""
    everybody = [_person(chance, number, weeks) for number in range(people)]
    found = []
    for number, (subject, level) in enumerate(list(SUBJECTS.items())[:groups]):
        is_old = number % OLD_EVERY == OLD_EVERY - 1
        jid = f"5500910100001-150000{number:04}@g.us" if is_old else f"1203630010200{number:05}@g.us"
        share = min(0.9, 0.15 + level / 3)
        members = [everybody[0], *(person for person in everybody[1:] if chance.random() < share)]
        found.append(Group(jid, subject, "pn" if is_old else "lid", level, members))
    return found


def _person(chance: random.Random, number: int, weeks: int) -> Person:
    begin = chance.uniform(0.2, weeks) if number and chance.random() < LATE else 0.0
    stays = chance.random() < STAYS or not number
    return Person(
        lid=f"{910200000000000 + number}@lid",
        phone=f"{5500910200000 + number}@s.whatsapp.net",
        name=f"{FIRST[number % len(FIRST)]} {LAST[number // len(FIRST) % len(LAST)]}",
        hides_phone=number > 0 and chance.random() < HIDES_PHONE,
        weight=1 / (number + 2) ** 0.7,
        peak=chance.choice(PEAKS),
        begin=begin,
        end=float(weeks) if stays else begin + chance.uniform(0.5, weeks),
    )
