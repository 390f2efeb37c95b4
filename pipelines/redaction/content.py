"""Bodies without their content: who did what, when and where stays, and what was written or sent goes.

Belongs here: which keys say who, what kind, when and where. Not: taking people out (walker). What extraction reads of a
body stays as it was.
"""

from collections.abc import Mapping

from pipelines.parsing.erased import ERASED_OBJECT
from pipelines.parsing.paths import JSON

# What stays, wherever in a payload it stands: addresses, times, kinds, the names of people and groups.
KEPT = frozenset({
    "key", "remoteJid", "remoteJidAlt", "fromMe", "id", "senderPn", "senderLid", "addressingMode",
    "participant", "participantAlt", "participantPn", "participantLid", "author", "authorPn",
    "messageTimestamp", "senderTimestampMs", "conversationTimestamp", "date", "readTimestamp", "receiptTimestamp",
    "pushName", "name", "subject", "subjectTime", "descTime", "creation",
    "messageStubType", "messageStubParameters", "participants", "action", "method", "status",
    "from", "callerPn", "groupId", "groupJid", "chatId", "association", "userJid", "lid", "phoneNumber", "jid", "pn",
    "ownerPn", "ownerJid", "owner", "subjectOwner", "subjectOwnerPn", "subjectOwnerJid",
    "descOwner", "descOwnerPn", "descOwnerJid",
    "reaction", "update", "receipt", "presences", "pollUpdates", "pollUpdateMessageKey",
    "eventResponses", "eventResponseMessageKey", "low", "high", "unsigned",
})  # fmt: skip
# What stays whole, for it describes people: a roster's entries, the presences by address.
WHOLE = frozenset({"participants", "presences", "messageStubParameters", "association"})
CONTENT = "message"  # stays as a key, which tells kinds apart, without what it holds
# The types that describe a person, and hold nothing else.
OF_PEOPLE = frozenset({"contacts.upsert", "contacts.update", "lid-mapping.update", "chats.phoneNumberShare"})


def without_content(event: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return a body, parsed, without its content; equal to it where it has none, or lost it before."""
    payload = event.get("payload")
    if event.get("type") in OF_PEOPLE or not isinstance(payload, dict):
        return dict(event)
    return {**event, "payload": stripped(payload)}


def stripped(value: JSON) -> JSON:
    """Return a payload, or a message in one, without its content."""
    if isinstance(value, list):
        return [stripped(each) for each in value]
    if not isinstance(value, dict) or value == ERASED_OBJECT:
        return value
    left = {name: each if name in WHOLE else stripped(each) for name, each in value.items() if name in KEPT}
    if CONTENT in value:
        left[CONTENT] = ERASED_OBJECT if value[CONTENT] is not None else None
    return left
