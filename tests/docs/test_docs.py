"""The documents say what there is: every setting, table, column, route, metric, asset and verb, and no other."""

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from lake import Lake
from project import ROOT, settings_in_code

from pipelines.orchestration.definitions import defs
from pipelines.snapshots.schemas import PAYLOAD_FIELDS, SCHEMAS
from receiver.settings import ReceiverSettings

DOCS = sorted(ROOT.glob("docs/**/*.md")) + [
    ROOT / name for name in ("README.md", "CONTEXT.md", "CHANGELOG.md", "SECURITY.md")
]


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


def test_every_table_and_column_is_documented(lake: Lake) -> None:
    words = code_words("tables.md")
    columns = lake.rows(
        "select table_name::text, column_name::text from information_schema.columns"
        " where table_schema = 'public' and table_name <> 'schema_migrations'"
    )
    names = {name for column in columns for name in column}
    assert len(names) > 40
    assert sorted(names - words) == []


@pytest.mark.parametrize("table", [*SCHEMAS, "payload_fields"])
def test_a_snapshots_columns_are_documented_as_its_files_have_them(table: str) -> None:
    section = (ROOT / "docs/tables.md").read_text().split(f"### Snapshot of `{table}`\n")[1].split("\n### ")[0]
    documented = [row.strip("| ").split(" | ") for row in section.splitlines() if row.startswith("| `")]
    assert documented == [described(field) for field in SCHEMAS.get(table, PAYLOAD_FIELDS)]


def described(field: "pa.Field[Any]") -> list[str]:
    """Return the row that documents a column: name, type, nullability, meaning, unit, source."""
    meaning, unit, source = (value.decode() for value in (field.metadata or {}).values())
    kind = str(field.type).replace("tz=", "")
    return [f"`{field.name}`", kind, "yes" if field.nullable else "no", meaning, unit, f"`{source}`"]


def test_every_asset_and_job_is_documented() -> None:
    names = {key.to_user_string() for key in defs.resolve_all_asset_keys()} | {"load", "snapshot", "prune"}
    assert sorted(names - code_words("dagster.md")) == []


@pytest.mark.parametrize("document", DOCS, ids=lambda document: str(document.relative_to(ROOT)))
def test_every_link_between_documents_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text())
    missing = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert missing == []


def test_the_readme_has_every_module_and_no_other() -> None:
    tree = (ROOT / "README.md").read_text().split("```text")[2].split("```")[0]
    modules = {path.name for package in ("receiver", "pipelines") for path in (ROOT / package).rglob("*.py")}
    assert set(re.findall(r"\b\w+\.py\b", tree)) == modules - {"__init__.py"}


def test_the_privacy_decision_has_its_review_date_and_owner() -> None:
    paragraphs = (ROOT / "docs/adr/0001-data-lake-approach.md").read_text().split("\n\n")
    [liability] = [text for text in paragraphs if "2027-02-28" in text]
    assert "Data Privacy Lead" in liability
    assert "TTL" in liability
