"""Code and infrastructure say the same, and the deployment page says why each role is there."""

import re
from pathlib import Path

import pytest

from local.resources import DUPLICATES_SECONDS, MOST_DELIVERIES, RESOURCES
from scripts.infra import INFRA, differences, different
from services import bus

BICEP = {file.relative_to(INFRA).as_posix(): file.read_text(encoding="utf-8") for file in INFRA.rglob("*.bicep")}
DEPLOYMENT = Path("docs/deployment.md").read_text(encoding="utf-8")
GUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
ROLE_OF = {
    "services/bus.py": ("69a216fc",),
    "services/queues.py": ("4f6d3b9b",),
    "services/documents.py": ("00000000",),
    "services/logs.py": ("3913510d", "acdd72a7"),
    "services/blobs.py": ("b7e6dc6d",),
    "services/tokens.py": ("5e0bd9bd",),
    "services/content_safety.py": ("a97b65f3",),
}
"""By what talks to it, the roles that the app needs there (the beginning of their ids)."""


def test_when_code_and_infrastructure_are_compared_then_they_agree() -> None:
    assert differences() == []


def test_when_the_code_names_a_queue_that_is_not_declared_then_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bus, "INVOICES", "invoices", raising=False)
    (told,) = differences()
    assert told.startswith("queue 'invoices' is used by the code and not declared: add it to infra/resources.json")


def test_when_a_queue_is_declared_that_no_code_uses_then_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RESOURCES, "queues", [*RESOURCES["queues"], {"name": "invoices"}])
    (told,) = differences()
    assert told.startswith("queue 'invoices' is declared and used by no code: take it out of infra/resources.json")


def test_when_a_setting_is_missing_on_either_side_then_it_is_told() -> None:
    told = different("setting", {"A", "B"}, {"B", "C"}, "the file")
    assert [each.split()[1] for each in told] == ["'A'", "'C'"]


@pytest.mark.parametrize(("what", "name"), [("containers", "usage"), ("audit_columns", "CostMicro")])
def test_when_something_else_is_not_declared_then_it_is_told(
    monkeypatch: pytest.MonkeyPatch, what: str, name: str
) -> None:
    left = RESOURCES[what]
    monkeypatch.setitem(
        RESOURCES,
        what,
        [each for each in left if each["name"] != name]
        if isinstance(left, list)
        else {column: kind for column, kind in left.items() if column != name},
    )
    assert any(f"'{name}' is used by the code and not declared" in each for each in differences())


ASSIGNED = {
    "monitoring": {"sendsEvents", "sendsTelemetry", "mayQuery", "readsTable"},
    "servicebus": {"assignments"},  # the sender and the receiver
    "cosmos": {"writesItems"},
    "storage": {"keepsBlobs"},
    "keyvault": {"readsSecrets"},
    "durable": {"runsOrchestrations"},
    "cognitive": {"uses"},
}
"""The role assignments of each module, by their names in it."""


@pytest.mark.claim("P1")
def test_when_roles_are_assigned_then_they_are_these_and_to_the_app() -> None:
    found: dict[str, set[str]] = {}
    for file, text in BICEP.items():
        for name in re.findall(r"^resource (\w+) '[\w./]+/(?:roleAssignments|sqlRoleAssignments)@", text, re.MULTILINE):
            found.setdefault(Path(file).stem, set()).add(name)
            block = text.partition(f"resource {name} '")[2].partition("\n}")[0]
            assert "principalId: principalId" in block, name
            assert "scope" in block, name
    assert found == ASSIGNED


def test_when_queues_and_containers_are_made_then_from_the_shared_list_alone_and_as_the_local_stack_has_them() -> None:
    every = "".join(BICEP.values())
    for kind, loop in (("namespaces/queues", "each in queues"), ("sqlDatabases/containers", "each in containers")):
        (made,) = re.findall(rf"^resource \w+ '[\w./]+{kind}@[^\n]*", every, re.MULTILINE)
        assert loop in made
    bus, cosmos = BICEP["modules/servicebus.bicep"], BICEP["modules/cosmos.bicep"]
    assert re.findall(r"maxDeliveryCount: (\d+)", bus) == [str(MOST_DELIVERIES)]
    assert f"duplicateDetectionHistoryTimeWindow: 'PT{DUPLICATES_SECONDS // 60}M'" in bus
    for said in ("each.sessions", "each.duplicate_detection", "each.ttl_seconds", "lockDuration: 'PT1M'"):
        assert said in bus
    for said in ("[each.partition_key]", "each.expires ? -1 : null", "'cosine'", "'float32'", "type: 'quantizedFlat'"):
        assert said in cosmos


@pytest.mark.claim("P1")
def test_when_the_app_has_a_role_then_it_is_a_data_role_that_the_deployment_page_explains() -> None:
    given = {role for text in BICEP.values() for role in re.findall(rf"'({GUID})'", text)}
    given |= {role for text in BICEP.values() for role in re.findall(rf"sqlRoleDefinitions/({GUID})", text)}
    explained = set(re.findall(rf"`({GUID})`", DEPLOYMENT))
    assert given == explained
    for file, roles in ROLE_OF.items():
        assert Path(file).exists()
        assert all(any(role.startswith(each) for role in given) for each in roles), file
    for owner_or_contributor in ("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "b24988ac-6180-42a0-ab88-20f7382dd24c"):
        assert not any(owner_or_contributor in text for text in BICEP.values())


@pytest.mark.claim("P1")
@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("servicebus", ["disableLocalAuth: true", "minimumTlsVersion: '1.2'", "publicNetworkAccess: publicAccess"]),
        ("cosmos", ["disableLocalAuth: true", "minimalTlsVersion: 'Tls12'", "defaultConsistencyLevel: 'Strong'"]),
        ("storage", ["allowSharedKeyAccess: false", "allowBlobPublicAccess: false", "minimumTlsVersion: 'TLS1_2'"]),
        ("keyvault", ["enableRbacAuthorization: true", "enablePurgeProtection: true"]),
        ("cognitive", ["disableLocalAuth: true", "publicNetworkAccess: publicAccess"]),
        ("monitoring", ["disableLocalAuth: true", "DisableLocalAuth: true", "level: 'CanNotDelete'"]),
        ("app", ["httpsOnly: true", "minTlsVersion: '1.2'", "properties: { allow: false }", "version: '3.13'"]),
    ],
)
def test_when_a_service_is_made_then_it_takes_identities_alone_and_no_old_tls(module: str, said: list[str]) -> None:
    text = BICEP[f"modules/{module}.bicep"]
    assert [each for each in said if each not in text] == []
    assert "diagnosticSettings" in text


@pytest.mark.claim("T1")
def test_when_something_is_made_then_it_is_in_the_one_region() -> None:
    for file, text in BICEP.items():
        places = set(re.findall(r"^\s*location: (.+)$", text, re.MULTILINE)) | set(
            re.findall(r"locationName: (\w+)", text)
        )
        assert places <= {"location", "'global'"}, file  # DNS zones and the private link scope have no region
        assert "failoverPriority: 1" not in text
