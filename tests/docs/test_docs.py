"""The documents say what there is: every setting, table, column, route, metric, asset and verb, and no other."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from lake import Lake
from project import ROOT, settings_in_code
from prometheus_rules import Alert, alerts, anchor

from pipelines.orchestration.alerts import JOBS
from pipelines.orchestration.definitions import defs
from pipelines.parsing.extraction import ENVELOPE_CHATS, RULES_VERSION
from pipelines.parsing.rules import GROUP_PATHS, RULES, Rule, rule_of
from pipelines.snapshots.schemas import PAYLOAD_FIELDS, SCHEMAS
from receiver.settings import ReceiverSettings

DOCS = sorted(ROOT.glob("docs/**/*.md")) + [
    ROOT / name
    for name in ("README.md", "README.pt-BR.md", "CONTEXT.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
]
TABLES = (ROOT / "docs/tables.md").read_text()
# What an update of a message holds, by the rule that it asks for.
UPDATES = {"changed message": "message", "poll vote": "pollUpdates", "event response": "eventResponses"}


def code_words(name: str) -> set[str]:
    """Return what stands in backticks in a document."""
    return set(re.findall(r"`([^`\n]+)`", (ROOT / "docs" / name).read_text()))


def test_the_example_environment_has_every_setting_and_no_other() -> None:
    example = (ROOT / ".env.example").read_text()
    named = set(re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", example, flags=re.MULTILINE))
    assert named == settings_in_code()


def test_the_specification_has_every_setting_and_no_other() -> None:
    section = (ROOT / "docs/spec.md").read_text().split("## Environment\n")[1].split("\n## ")[0]
    rows = [row.split(" | ")[0] for row in section.splitlines() if row.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`([A-Z0-9_]+)`", row)} == settings_in_code()


def test_every_receiver_setting_is_documented() -> None:
    words = code_words("http.md")
    assert [name for name in ReceiverSettings.model_fields if name.upper() not in words] == []


def table_after(heading: str, text: str = TABLES) -> list[list[str]]:
    """Return the cells of the first table below a heading."""
    below = text.partition(f"\n{heading}\n")[2]
    lines = below[below.index("\n| ") :].strip().partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def test_every_table_and_column_is_documented_as_the_database_has_it(lake: Lake) -> None:
    columns = lake.rows(
        "select table_name::text, column_name::text, replace(data_type::text, 'timestamp with time zone',"
        " 'timestamptz'), case is_nullable when 'YES' then 'yes' else 'no' end from information_schema.columns"
        " where table_schema = 'public' and table_name <> 'schema_migrations'"
    )
    tables = {table for table, *_ in columns}
    documented = {(table, row[0].strip("`"), *row[1:3]) for table in tables for row in table_after(f"### `{table}`")}
    assert documented == set(columns)


def test_the_specification_has_every_table_and_no_other(lake: Lake) -> None:
    found = lake.rows("select table_name::text from information_schema.tables where table_schema = 'public'")
    documented = {row[0].strip("`") for row in table_after("## Tables", (ROOT / "docs/spec.md").read_text())}
    assert documented == {table for (table,) in found} - {"schema_migrations"}


def documented_rules() -> list[tuple[str, Rule, list[str]]]:
    """Return each type of the table of rules, its rule, and the row's other cells."""
    rows = table_after("## What a body shows")
    found = []
    for kinds, *cells in rows:
        update = UPDATES.get(kinds.partition(": ")[2])
        payload = {"update": {update: None}} if update else {}
        found += [(kind, rule_of(kind, payload), cells) for kind in re.findall("`([^`]+)`", kinds)]
    return found


def test_every_type_with_a_rule_is_documented_and_no_other() -> None:
    kinds = [kind for kind, *_ in documented_rules()]
    assert sorted(kinds) == sorted([*RULES, "messages.update", "messages.update", "messages.update"])


def test_a_rules_paths_are_documented_as_it_has_them() -> None:
    """Times and the group's name by their paths, in their order; author and people where there are any."""
    said = [(kind, bool(author), re.findall("`([^`]+)`", time), bool(people), name.strip("`") or None)
            for kind, _, (author, time, people, name) in documented_rules()]  # fmt: skip
    assert said == [
        (kind, bool(rule.author), list(rule.time), bool(rule.people or rule.objects), rule.subject)
        for kind, rule, _ in documented_rules()
    ]


def test_where_a_group_is_looked_for_is_documented() -> None:
    sentence = TABLES.partition("The group is the first `@g.us` address among ")[2].partition("`. ")[0]
    assert re.findall("`([^`]+)`", f"{sentence}`") == [*ENVELOPE_CHATS, *GROUP_PATHS]


def test_the_versions_of_the_rules_are_documented() -> None:
    versions = [int(version) for version, _ in table_after("### Versions of the rules")]
    assert versions == list(range(1, RULES_VERSION + 1))


@pytest.mark.parametrize("table", [*SCHEMAS, "payload_fields"])
def test_a_snapshots_columns_are_documented_as_its_files_have_them(table: str) -> None:
    documented = table_after(f"### Snapshot of `{table}`")
    assert documented == [described(field) for field in SCHEMAS.get(table, PAYLOAD_FIELDS)]


def described(field: "pa.Field[Any]") -> list[str]:
    """Return the row that documents a column: name, type, nullability, meaning, unit, source."""
    meaning, unit, source = (value.decode() for value in (field.metadata or {}).values())
    kind = str(field.type).replace("tz=", "")
    return [f"`{field.name}`", kind, "yes" if field.nullable else "no", meaning, unit, f"`{source}`"]


def test_what_differs_from_the_code_fails_the_lint_and_is_named(tmp_path: Path) -> None:
    """As a settings table does, or a list of commands, that somebody forgot to write anew."""
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "docs", copy / "docs")
    example = (ROOT / ".env.example").read_text().replace("SNAPSHOT_MINUTES=10", "SNAPSHOT_MINUTES=20")
    (copy / ".env.example").write_text(example)
    (copy / "docs/cli.md").unlink()

    def check(*words: str) -> tuple[int, str]:
        command = [sys.executable, str(copy / "docs/reference.py"), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr.strip()

    assert check("--check") == (1, "not as the code says: .env.example, docs/cli.md: run `make docs`")
    assert (check(), check("--check")) == ((0, ""), (0, ""))
    assert (copy / "docs/cli.md").read_text() == (ROOT / "docs/cli.md").read_text()


@pytest.mark.parametrize(("document", "heading"), [("README.md", "## Run it"), ("docs/spec.md", "## Commands")])
def test_every_verb_is_in_the_tables_of_commands(document: str, heading: str) -> None:
    """And no other: what docs/cli.md has is generated."""
    there = re.findall(r"^## `(wpp-lake [a-z ]*[a-z])", (ROOT / "docs/cli.md").read_text(), flags=re.MULTILINE)
    rows = table_after(heading, (ROOT / document).read_text())
    named = [re.match(r"`(wpp-lake [a-z ]*[a-z])", row[0]) for row in rows]
    assert {match[1] for match in named if match} == verbs(there, document)


def verbs(there: list[str], document: str) -> set[str]:
    """Return what a document names: README has one row for all verbs of the quarantine, and one for those of erase."""
    others = {f"wpp-lake quarantine {verb}" for verb in ("show", "retry", "discard")}
    others |= {f"wpp-lake erase {verb}" for verb in ("apply", "sweep", "ls", "verify", "lift")}
    return set(there) - (others if document == "README.md" else set())


def test_every_asset_and_job_is_documented() -> None:
    jobs = {job.name for job in defs.resolve_all_job_defs() if not job.name.startswith("__")}
    names = {key.to_user_string() for key in defs.resolve_all_asset_keys()} | jobs
    assert sorted(names - code_words("dagster.md")) == []


def entries() -> list[str]:
    """Return the headings of the runbook's entries."""
    return re.findall(r"^### (.*)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)


def test_every_check_and_alert_has_its_entry_in_the_runbook() -> None:
    checks = {key.name for key in defs.resolve_asset_graph().asset_check_keys}
    headings = " ".join(entries())
    assert sorted(name for name in checks | set(JOBS) if f"`{name}`" not in headings) == []


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)
def test_every_alert_of_prometheus_leads_to_its_entry_in_the_runbook(alert: Alert) -> None:
    [entry] = [heading for heading in entries() if f"`{alert.name}`" in heading]
    assert alert.annotations["runbook"] == f"docs/runbook.md#{anchor(entry)}"


def test_every_alert_of_the_runbook_is_one_of_prometheus() -> None:
    named = {name for heading in entries() for name in re.findall("`(WppLake\\w+)`", heading)}
    assert named == {alert.name for alert in alerts()}


@pytest.mark.parametrize("document", DOCS, ids=lambda document: str(document.relative_to(ROOT)))
def test_every_link_between_documents_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text())
    missing = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCS, ids=lambda document: str(document.relative_to(ROOT)))
def test_every_link_to_a_heading_finds_it(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", document.read_text())
    targets = [(document.parent / link if link else document, heading) for link, heading in links]
    assert [(str(page), name) for page, name in targets if page.suffix == ".md" and name not in anchors(page)] == []


def anchors(page: Path) -> set[str]:
    """Return the fragments by which a page's headings are reached."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {anchor(re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)) for heading in headings}


def test_docstrings_name_the_thing() -> None:
    """They begin with a verb or a noun."""
    modules = [path for package in ("receiver", "pipelines", "devstack") for path in (ROOT / package).rglob("*.py")]
    begin = re.compile(r'^\s*"""(?:What|Who|Whose)\b.*', re.MULTILINE)
    assert [line for path in modules for line in begin.findall(path.read_text())] == []


def test_the_readme_has_every_module_and_no_other() -> None:
    tree = (ROOT / "README.md").read_text().split("## The tree")[1].split("```text")[1].split("```")[0]
    modules = {
        path.name for package in ("receiver", "pipelines", "notebooks") for path in (ROOT / package).rglob("*.py")
    }
    assert set(re.findall(r"\b\w+\.py\b", tree)) == modules - {"__init__.py"}


def test_the_privacy_decision_has_its_review_date_and_owner() -> None:
    paragraphs = (ROOT / "docs/adr/0001-data-lake-approach.md").read_text().split("\n\n")
    [liability] = [text for text in paragraphs if "2027-02-28" in text]
    assert "Data Privacy Lead" in liability
    assert "TTL" in liability


def test_every_line_whose_faults_are_explained_stands_in_its_module() -> None:
    """Whoever edits such a line looks at its reason again."""
    explained = tomllib.loads((ROOT / "benchmarks" / "survivors.toml").read_text())["survivor"]
    gone = [
        each
        for each in explained
        if each["line"] not in map(str.strip, (ROOT / each["module"]).read_text().splitlines())
        or not each["reason"]
        or each["line"] in each["becomes"]
    ]
    assert (bool(explained), gone) == (True, [])
