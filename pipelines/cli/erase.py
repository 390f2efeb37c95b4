"""The verbs of `wpp-lake erase`.

Belongs here: their arguments and what they print. Not: the erasure itself (privacy).
"""

import getpass
import json
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from pipelines.cli.options import DEFAULT_DATA_DIR, By, DataDir, connect_lake, fail, read_settings

if TYPE_CHECKING:
    from pipelines.db.connection import Connection
    from pipelines.privacy.done import Done
    from pipelines.privacy.people import Who
    from pipelines.settings import LakeSettings

app = typer.Typer(no_args_is_help=True, help="Forget a person, an event or a group, with proof.")
WhoOption = Annotated[str | None, typer.Argument(metavar="WHO", help="A phone number, or a LID as 123@lid.")]
Event = Annotated[UUID | None, typer.Option("--event", metavar="ID", help="One event in the place of a person.")]
Group = Annotated[str | None, typer.Option("--group", metavar="JID", help="One group in the place of a person.")]
Own = Annotated[list[str] | None, typer.Option("--lid", metavar="LID", help="A LID that is the person's, too.")]
Others = Annotated[list[str] | None, typer.Option("--not-lid", metavar="LID", help="A LID that is somebody else's.")]
ErasureId = Annotated[UUID, typer.Argument(metavar="ID", help="An erasure, as `erase ls` names it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def _who(  # noqa: PLR0913, PLR0917  as many as there are ways to say it
    settings: "LakeSettings",
    conn: "Connection",
    who: str | None,
    event: UUID | None,
    group: str | None,
    own: list[str] | None,
    others: list[str] | None,
) -> "Who":
    from pipelines.landing.zone import LandingZone
    from pipelines.privacy.people import of_event, of_group, of_person
    from pipelines.redaction.erasures import ErasureList

    if sum(each is not None for each in (who, event, group)) != 1:
        fail("name one of WHO, --event and --group")
    if event:
        return of_event(conn, event)
    if group:
        return of_group(ErasureList(LandingZone(settings)), group)
    return of_person(conn, who or "", own or (), others or ())


@app.command("plan")
def plan(  # noqa: PLR0913, PLR0917  as many as there are ways to say it
    who: WhoOption = None,
    event: Event = None,
    group: Group = None,
    lid: Own = None,
    not_lid: Others = None,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Say who is meant, and what there is of them by place. Changes nothing."""
    settings = read_settings(data_dir)
    with connect_lake(data_dir) as conn:
        from pipelines.privacy.plan import plan as look

        meant = _who(settings, conn, who, event, group, lid, not_lid)
        places = look(settings, conn, meant)
    if as_json:
        shown = {"kind": meant.kind, "names": meant.names, "told": meant.told}
        print(json.dumps(shown | {"places": [vars(place) for place in places]}))
        return
    print(f"{meant.kind}: {', '.join(meant.names)}", *meant.told, sep="\n")
    for place in places:
        print(f"{place.name:<40} {place.matches:>8,} of {place.items:,}")


@app.command("apply")
def apply(  # noqa: PLR0913, PLR0917  as many as there are ways to say it
    reference: Annotated[str, typer.Option(metavar="TICKET", help="The request on whose word it is done.")],
    who: WhoOption = None,
    event: Event = None,
    group: Group = None,
    lid: Own = None,
    not_lid: Others = None,
    ever: Annotated[
        bool, typer.Option("--object", help="What is received later, too: of somebody who has left.")
    ] = False,
    by: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who carries it out; without it the user of this machine.")
    ] = None,
    scrubbed: Annotated[
        bool, typer.Option("--scrub", help="Clean the files of PostgreSQL and of `up`'s store afterwards, too.")
    ] = False,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Take a subject out of every place. Asks nothing; again with the same ticket, it goes on where it was ended."""
    settings = read_settings(data_dir)
    with connect_lake(data_dir) as conn:
        from pipelines.privacy.apply import Request
        from pipelines.privacy.apply import apply as carry_out

        meant = _who(settings, conn, who, event, group, lid, not_lid)
        done = carry_out(settings, conn, Request(meant, reference, by or getpass.getuser(), ever))
        try:
            if scrubbed:
                from pipelines.privacy.scrub import scrub

                scrub(settings, conn, done)
        finally:  # it is erased, whatever becomes of the disks
            _print_done(done, as_json=as_json)


@app.command("sweep")
def sweep(
    full: Annotated[
        bool, typer.Option("--full", help="Tables and past states too, though they show the erasures.")
    ] = False,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Take out what erasures cover and is there again: delivered again, restored from a backup, left by a kill."""
    settings = read_settings(data_dir)
    with connect_lake(data_dir) as conn:
        from pipelines.privacy.apply import sweep as carry_out

        _print_done(carry_out(settings, conn, full=full), as_json=as_json)


def _print_done(done: "Done", *, as_json: bool) -> None:
    if as_json:
        shown = {"erasure": done.erasure.id if done.erasure else None, "counts": done.counts, "seconds": done.seconds}
        print(json.dumps(shown))
        return
    if done.erasure:
        print(f"erasure {done.erasure.id}, on {done.erasure.reference}")
    print(", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in done.counts.items()) or "no erasures")
    if done.erasure:
        print(f"To prove it: wpp-lake erase verify {done.erasure.id}")


@app.command("ls")
def ls(as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """List the erasures: when, on which ticket, by whom. Who was erased isn't in the list."""
    from pipelines.landing.zone import LandingZone
    from pipelines.redaction.erasures import ErasureList, described

    entries = ErasureList(LandingZone(read_settings(data_dir))).entries()
    if as_json:
        print(json.dumps([described(each) for each in entries]))
        return
    if not entries:
        print("no erasures")
    for each in entries:
        covers = f"before {each.until:%Y-%m-%d %H:%M}" if each.until else "for ever"
        ended = f"  lifted {each.lifted_at:%Y-%m-%d %H:%M} by {each.lifted_by}" if each.lifted_at else ""
        kind = "content" if each.keeps else each.kind
        print(f"{each.id}  {kind:<7}  {each.at:%Y-%m-%d %H:%M}  {covers:<24}  {each.reference}  by {each.by}{ended}")


@app.command("verify")
def verify(erasure_id: ErasureId, as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Search every place for what an erasure covers, put the proof beside the list, and exit 1 on any match."""
    settings = read_settings(data_dir)
    with connect_lake(data_dir) as conn:
        from pipelines.privacy.proof import verify as prove

        proof = prove(settings, conn, str(erasure_id))
    if as_json:
        print(json.dumps(proof))
    else:
        for place in proof["places"]:
            print(
                f"{place['name']:<40} {place['items']:>10,} searched: {place['matches']} matches",
                *place["where"],
                sep="\n  ",
            )
        later = proof["after_request"]
        print(f"{proof['matches']} matches; {later} after the request, which it doesn't cover")
    raise typer.Exit(bool(proof["matches"]))


@app.command("lift")
def lift(
    erasure_id: ErasureId,
    by: By = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """End an erasure: it covers nothing from now on. What it has erased stays erased."""
    from pipelines.landing.zone import LandingZone
    from pipelines.redaction.erasures import ErasureList, lifted

    listed = ErasureList(LandingZone(read_settings(data_dir)))
    erasure = listed.entry(str(erasure_id))
    if erasure.lifted_at:
        fail(f"it was lifted before, by {erasure.lifted_by}")
    listed.put(lifted(erasure, by or getpass.getuser()))
    print(f"{erasure.id} covers nothing any more")
