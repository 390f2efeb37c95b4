"""Writes what the documents say of settings, commands and columns, from the code: `python docs/reference.py`.

With --check it changes nothing and fails where they differ. Belongs here: the form. Not: what it says; that stands in
the settings' descriptions, the commands' docstrings, the Arrow schemas and the columns' classes.
"""

import shlex
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import architecture
import pyarrow as pa
import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings
from typer.core import TyperGroup

from devstack.settings import StackSettings
from pipelines.cli.main import with_stack_commands
from pipelines.privacy.columns import CLASSES, Column, places
from pipelines.settings import LakeSettings
from pipelines.snapshots.schemas import PAYLOAD_FIELDS, SCHEMAS
from receiver.settings import ReceiverSettings

BAR = r"\|"  # in a cell of a table
ROOT = Path(__file__).parent.parent
READERS: dict[str, type[BaseSettings]] = {
    "receiver": ReceiverSettings,
    "pipelines": LakeSettings,
    "`up`": StackSettings,
}
READ_BY_THE_STORES_CLIENT = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_region")
TEMPLATE = """\
# Every setting, for a deployment with real services. Copy it to .env, fill it in, and load it: set -a; . ./.env; set +a
# An empty value counts as absent, so its default holds. `wpp-lake up` needs none of this: it makes <data-dir>/env itself.
# Generated from the code's settings: make docs
"""
CLI = """\
# Commands

What `wpp-lake --help` says of each verb, generated from the code. Each verb but `up` and `demo` takes its target from the environment when that has `DATABASE_URL`, else from `<data-dir>/env`. What exit code 0 means is in [spec.md](spec.md#commands).
"""


class Setting(NamedTuple):
    """One environment variable: who reads it, and what the code says of it."""

    name: str
    readers: tuple[str, ...]
    default: str
    example: str
    meaning: str


def settings() -> list[Setting]:
    """Return every setting, those that the receiver reads first."""
    names = dict.fromkeys(name for reader in READERS.values() for name in reader.model_fields)
    found = [_setting(name, {who: READERS[who].model_fields.get(name) for who in READERS}) for name in names]
    return sorted(found, key=lambda setting: [who not in setting.readers for who in READERS])


def _setting(name: str, fields: dict[str, FieldInfo | None]) -> Setting:
    known = [field for field in fields.values() if field]
    meanings = [field.description for field in known if field.description]
    if len(meanings) != 1:
        raise LookupError(f"{name}: {len(meanings)} descriptions, and not one")
    least = [f"; at least {bound.ge}" for field in known for bound in field.metadata if getattr(bound, "ge", 0)]
    readers = tuple(
        who for who, field in fields.items() if field or (who == "receiver" and name in READ_BY_THE_STORES_CLIENT)
    )
    first = known[0]
    default = "required" if first.is_required() else _written(first.default)
    examples = [str(example) for field in known for example in field.examples or ()]
    example = examples[0] if examples else "" if default == "required" else default
    return Setting(name.upper(), readers, default, example, "".join(meanings + least))


def _written(default: Any) -> str:
    """Write a default as it would stand in the environment."""
    match default:
        case None | "":
            return ""
        case SecretStr():
            return default.get_secret_value()
        case ():
            return "[]"
        case bool():
            return str(default).lower()
    return str(default)


def environment() -> Iterator[str]:
    """Yield .env.example."""
    yield TEMPLATE
    readers: tuple[str, ...] = ()
    for setting in settings():
        if setting.readers != readers:
            readers = setting.readers
            yield f"# --- Read by {' and '.join(readers)} ---\n".replace("`up`", "`wpp-lake up` and `demo`")
        required = "Required. " if setting.default == "required" else ""
        meaning = f"{required}{setting.meaning[0].upper()}{setting.meaning[1:]}."
        yield textwrap.fill(meaning, 120, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
        yield f"{setting.name}={shlex.quote(setting.example) if setting.example else ''}\n"


def settings_table(reader: str = "") -> Iterator[str]:
    """Yield the table of every setting, or of those of one reader."""
    yield from ("| variable | default | meaning |", "|---|---|---|") if reader else (
        "| variable | default | read by | meaning |", "|---|---|---|---|"
    )  # fmt: skip
    for setting in settings():
        default = {"required": "required", "": "none"}.get(setting.default, f"`{setting.default}`")
        cells = [f"`{setting.name}`", default, *([] if reader else [", ".join(setting.readers)]), setting.meaning]
        if not reader or reader in setting.readers:
            yield f"| {' | '.join(cells)} |"


def columns_table(schema: pa.Schema) -> Iterator[str]:
    """Yield the table of a snapshot's columns."""
    yield from ("| column | type | null | meaning | unit | source |", "|---|---|---|---|---|---|")
    for field in schema:
        meaning, unit, source = (value.decode() for value in (field.metadata or {}).values())
        kind, null = str(field.type).replace("tz=", ""), "yes" if field.nullable else "no"
        yield f"| `{field.name}` | {kind} | {null} | {meaning} | {unit} | `{source}` |"


def classes_table() -> Iterator[str]:
    """Yield the table of every column's class: a row per place, class and reason."""
    yield from ("| place | columns | class | why |", "|---|---|---|---|")
    for place, columns in places():
        for column, names in _by_class(columns).items():
            yield f"| {place} | {', '.join(f'`{name}`' for name in names)} | {column.kind} | {column.reason} |"


def _by_class(columns: Mapping[str, Column]) -> dict[Column, list[str]]:
    """Return the columns that have the same class for the same reason, in the classes' order."""
    found: dict[Column, list[str]] = {}
    for name, column in sorted(columns.items(), key=lambda each: list(CLASSES).index(each[1].kind)):
        found.setdefault(column, []).append(name)
    return found


def commands() -> Iterator[str]:
    """Yield docs/cli.md."""
    group = typer.main.get_command(with_stack_commands())
    yield CLI
    yield from _command(group, "wpp-lake")


def _command(command: Any, name: str) -> Iterator[str]:
    if isinstance(command, TyperGroup):
        for each in command.commands.values():
            yield from _command(each, f"{name} {each.name}")
        return
    context = typer.Context(command, info_name=name)
    yield f"## `{' '.join([name, *command.collect_usage_pieces(context)])}`\n"
    yield f"{' '.join((command.help or '').split())}\n"
    if command.epilog:
        yield f"{command.epilog.replace('Example: ', 'Example: `', 1)}`\n"
    records = [param.get_help_record(context) for param in command.get_params(context) if param.name != "help"]
    if rows := [f"| `{names.replace('|', BAR)}` | {meaning} |" for names, meaning in filter(None, records)]:
        yield from ("| argument, option | meaning |", "|---|---|", *rows, "")


def with_blocks(text: str, blocks: dict[str, Iterable[str]]) -> str:
    """Return a document with each block, which stands between two comments, as it should be."""
    for name, lines in blocks.items():
        begin, end = f"<!-- generated: {name} -->\n", "<!-- end -->\n"
        block = begin + "\n" + "\n".join(lines) + "\n\n" + end
        before, *after = text.split(begin)
        if len(after) != 1:
            raise LookupError(f"{name}: {len(after)} places for it")
        text = before + block + after[0].partition(end)[2]
    return text


def documents() -> dict[str, str]:
    """Return each file that is generated, or has generated blocks, as it should be."""
    columns = {table: columns_table(schema) for table, schema in (SCHEMAS | {"payload_fields": PAYLOAD_FIELDS}).items()}
    blocks: dict[str, dict[str, Iterable[str]]] = {
        "docs/spec.md": {"settings": settings_table()},
        "docs/http.md": {"settings": settings_table("receiver")},
        "docs/privacy.md": {"classes of columns": classes_table()},
        "docs/tables.md": {f"columns of {table}": lines for table, lines in columns.items()},
    }
    return {
        ".env.example": "\n".join(environment()),
        "docs/cli.md": "\n".join(commands()).rstrip() + "\n",
        "docs/images/architecture.svg": "\n".join(architecture.svg()) + "\n",
        **{name: with_blocks((ROOT / name).read_text(), found) for name, found in blocks.items()},
    }


def main() -> None:
    """Write the files that differ; with --check name them and exit with 1."""
    differing = {name: text for name, text in documents().items() if not _is(ROOT / name, text)}
    if "--check" in sys.argv[1:]:
        sys.exit(f"not as the code says: {', '.join(differing)}: run `make docs`" if differing else 0)
    for name, text in differing.items():
        (ROOT / name).write_text(text)
        print(f"{name} written")


def _is(file: Path, text: str) -> bool:
    return file.exists() and file.read_text() == text


if __name__ == "__main__":
    main()
