"""The life of an assistant through the API, as paula leads it, who publishes for the team Sales and for no other."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from api.operation import OPERATIONS
from api.publishing import PUBLISHERS, Draft, Restore
from api.reason import Reason
from governance.access import Binding, Role, role_document
from local.seed import policy
from local.stack import Stack
from tests.e2e.asking import Asking
from tests.e2e.desk import OFFER, Desk, Json, etag_of, stored
from tests.e2e.kit import counted, opened


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def asking(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Asking]:
    """People of a stack of their own, in which others publish too: for Sales and Finance gus, for Finance ivan, for
    every team audrey."""
    async with Stack(tmp_path_factory.mktemp("publishing")) as stack, opened(stack) as kit:
        bindings = [
            Binding(group=stack.group("Sales Publishers"), teams=["sales"]),
            Binding(group=stack.group("Governance Board"), teams=["sales", "finance"]),
            Binding(group=stack.group("IT Operations"), teams=["finance"]),
            Binding(group=stack.group("Internal Audit")),
        ]
        await kit.store.config.upsert(role_document(Role.PUBLISHER, bindings))
        yield Asking(kit)


@pytest_asyncio.fixture(loop_scope="session")
async def desk(asking: Asking) -> AsyncIterator[Desk]:
    """Whatever a test does, every version that was published before it is in the store as it was."""
    before = await stored(asking, "version")
    yield Desk(asking)
    after = await stored(asking, "version")
    assert {id_: after.get(id_) for id_ in before} == before


# -- from a draft to versions


@pytest.mark.claim("I3")
async def test_when_an_assistant_is_made_then_it_is_a_draft_that_nobody_finds(desk: Desk) -> None:
    made = await desk.create()
    assert uuid.UUID(desk.id).version == 7
    assert made.body == {
        "id": desk.id,
        "state": "draft",
        "version": None,
        "latest_version": 0,
        "draft": desk.settings(),
        "published": None,
    }
    there = await desk.call("GET", made.headers["Location"])
    assert (there.body, etag_of(there)) == (made.body, desk.etag)
    drafts = (await desk.call("GET", "/api/drafts")).body["assistants"]
    assert made.body in drafts
    assert await desk.versions() == []
    for person in ("alice", "paula", "carol"):
        assert await desk.seen_by(person) is None


@pytest.mark.claim("I3")
async def test_when_it_is_published_then_its_audience_asks_version_1_and_nobody_else_does(desk: Desk) -> None:
    await desk.create(audience=[desk.asking.stack.group("Sales").upper()])
    now = await desk.changed("publish")
    assert (now["state"], now["version"], now["latest_version"]) == ("published", 1, 1)
    assert now["published"] == now["draft"] == desk.settings()
    card = {"id": desk.id, "version": 1, "name": "Quotes", "description": "Writes quotes"}
    for person in ("alice", "paula"):
        assert await desk.seen_by(person) == card
    for person in ("bob", "carol", "ivan", "adam"):
        assert await desk.seen_by(person) is None
    answer, system_prompt = await desk.answered()
    assert (answer["assistant"], system_prompt) == ({"id": desk.id, "version": 1}, "You write quotes.")


@pytest.mark.claim("I3")
async def test_when_the_draft_is_edited_then_what_is_published_stays_until_it_is_published_again(desk: Desk) -> None:
    first = await desk.publish()
    finance = desk.asking.stack.group("Finance")
    edited = await desk.edited(name="Invoices", system_prompt="You write invoices.", audience=[finance])
    assert edited == {**first, "draft": edited["draft"]}
    assert (await desk.seen_by("alice"), await desk.seen_by("carol")) == (
        {"id": desk.id, "version": 1, "name": "Quotes", "description": "Writes quotes"},
        None,
    )
    assert (await desk.answered())[1] == "You write quotes."
    again = await desk.changed("publish")
    assert (again["version"], again["latest_version"], again["published"]) == (2, 2, edited["draft"])
    assert (await desk.seen_by("alice"), await desk.seen_by("carol")) == (
        None,
        {"id": desk.id, "version": 2, "name": "Invoices", "description": "Writes quotes"},
    )


@pytest.mark.claim("A1")
async def test_when_an_earlier_version_is_restored_then_it_answers_and_the_later_one_is_still_there(
    desk: Desk,
) -> None:
    await desk.publish()
    second = await desk.edited(system_prompt="You write short quotes.")
    await desk.changed("publish")
    kept, listed = await stored(desk.asking, "version"), await desk.versions()
    assert [(each["version"], each["settings"]["system_prompt"]) for each in listed] == [
        (2, "You write short quotes."),
        (1, "You write quotes."),
    ]
    assert {each["published_by"] for each in listed} == {str(desk.asking.stack.person("paula").oid)}

    now = await desk.changed("restore", version=1)
    assert (now["version"], now["latest_version"], now["published"]) == (1, 2, desk.settings())
    assert now["draft"] == second["draft"]
    answer, system_prompt = await desk.answered()
    assert (answer["assistant"]["version"], system_prompt) == (1, "You write quotes.")
    event = await desk.asking.audited(answer["request_id"])
    assert (event["Assistant"], event["AssistantVersion"]) == (desk.id, 1)
    assert (await stored(desk.asking, "version"), await desk.versions()) == (kept, listed)

    assert (await desk.changed("restore", version=2))["version"] == 2
    assert (await desk.answered())[1] == "You write short quotes."
    await desk.changed("restore", version=1)
    assert (await desk.changed("publish"))["version"] == 3


async def test_when_a_version_is_restored_that_never_was_then_404_and_nothing_changes(desk: Desk) -> None:
    now = await desk.publish()
    for version in (2, 99):
        problem = (await desk.change("restore", version=version)).is_problem(404, "not-found")
        assert "version" in problem["detail"]
    (await desk.change("restore", version=0)).is_problem(400, "malformed")
    assert (await desk.draft()).body == now


# -- retired


@pytest.mark.claim("I3")
async def test_when_it_is_retired_then_it_is_404_for_everybody_until_it_is_restored(desk: Desk) -> None:
    await desk.publish(audience="everyone")
    request_id = (await desk.answered())[0]["request_id"]
    now = await desk.changed("retire")
    assert (now["state"], now["version"]) == ("retired", 1)
    for person in ("alice", "bob", "carol", "paula", "gus", "adam"):
        assert await desk.seen_by(person) is None
    (await desk.asking.status(request_id)).is_problem(404, "not-found")
    assert (await desk.draft()).body == now
    (await desk.change("retire")).is_problem(409, "conflict")

    assert (await desk.changed("restore", version=1))["state"] == "published"
    assert (await desk.answered())[0]["assistant"]["version"] == 1
    assert (await desk.asking.status(request_id)).status == 200
    await desk.changed("retire")
    assert (await desk.changed("publish"))["version"] == 2


@pytest.mark.claim("I3")
async def test_when_it_is_retired_while_the_model_answers_then_the_answer_does_not_come(desk: Desk) -> None:
    await desk.publish()
    calls = await desk.asking.kit.model_calls()
    async with desk.asking.going_wrong("models", {"operation": "chat", "kind": "delay", "seconds": 2}):
        question = asyncio.create_task(desk.ask())
        await counted(desk.asking.kit, "models", "chat", calls + 1)
        await desk.changed("retire")
        problem = (await question).is_problem(404, "not-found")
    event = await desk.asking.audited(problem["request_id"])
    assert (event["Outcome"], event["Answer"]) == ("refused", "")


@pytest.mark.claim("I3")
async def test_when_the_next_version_is_for_others_then_an_answer_under_way_does_not_come(desk: Desk) -> None:
    await desk.publish()
    calls = await desk.asking.kit.model_calls()
    async with desk.asking.going_wrong("models", {"operation": "chat", "kind": "delay", "seconds": 2}):
        question = asyncio.create_task(desk.ask())
        await counted(desk.asking.kit, "models", "chat", calls + 1)
        await desk.edited(audience=[])
        await desk.changed("publish")
        (await question).is_problem(404, "not-found")


@pytest.mark.claim("A1", "G1")
async def test_when_the_next_version_is_published_meanwhile_then_the_one_that_was_asked_answers(desk: Desk) -> None:
    await desk.publish()
    calls = await desk.asking.kit.model_calls()
    async with desk.asking.going_wrong("models", {"operation": "chat", "kind": "delay", "seconds": 2}):
        question = asyncio.create_task(desk.ask())
        await counted(desk.asking.kit, "models", "chat", calls + 1)
        await desk.edited(pii={"PERSON": "block", "EMAIL_ADDRESS": "block"})
        await desk.changed("publish")
        assert (await question).body["assistant"] == {"id": desk.id, "version": 1}
    assert (await desk.ask()).body["assistant"] == {"id": desk.id, "version": 2}


# -- whose it is to ask


@pytest.mark.claim("I3")
async def test_when_the_audience_is_empty_then_it_is_nobody(desk: Desk) -> None:
    assert (await desk.publish(audience=[]))["state"] == "published"
    for person in ("alice", "bob", "paula", "gus", "adam"):
        assert await desk.seen_by(person) is None


@pytest.mark.claim("I3")
async def test_when_the_audience_is_everyone_then_it_is_everyone_with_a_token(desk: Desk) -> None:
    await desk.publish(audience="everyone")
    for person in ("alice", "bob", "carol", "victor"):
        assert await desk.seen_by(person) is not None
    assert (await desk.answered())[0]["assistant"]["id"] == desk.id
    (await desk.ask(person="bob")).is_problem(403, "no-team")
    path = f"/api/assistants/{desk.id}/requests"
    (await desk.asking.call("POST", path, token=None, json={"prompt": OFFER})).is_problem(401, "token-refused")


# -- what it names


@pytest.mark.parametrize(
    ("named", "missing"),
    [
        ({"policies": ["standard", "house-style"]}, "policy house-style"),
        ({"route": "vision"}, "route vision"),
        ({"collections": ["recipes"]}, "collection recipes"),
        ({"policies": ["a", "b"], "route": "c", "collections": ["d"]}, "policy a, policy b, route c, collection d"),
    ],
    ids=["policy", "route", "collection", "all"],
)
async def test_when_it_names_what_is_not_configured_then_it_is_not_published(
    desk: Desk, named: Json, missing: str
) -> None:
    now = (await desk.create(**named)).body
    problem = (await desk.change("publish")).is_problem(409, "conflict")
    assert problem["detail"] == f"Not configured: {missing}."
    assert (await desk.draft()).body == now
    assert await desk.versions() == []


@pytest.mark.parametrize(
    "named", [{"policies": ["."]}, {"policies": ["x" * 64]}, {"route": "../a"}, {"collections": [""]}]
)
async def test_when_it_names_what_nothing_can_be_called_then_400(desk: Desk, named: Json) -> None:
    settings = {**desk.settings(), **named}
    body = {"reason": "a try", "settings": settings}
    (await desk.call("POST", "/api/assistants", json=body)).is_problem(400, "malformed")


async def test_when_a_version_names_what_is_gone_then_it_is_not_restored(desk: Desk) -> None:
    config = desk.asking.kit.store.config
    await config.create({"kind": "route", "id": "passing", "endpoints": ["own-model"]})
    await desk.publish(route="passing")
    await desk.edited()
    now = await desk.changed("publish")
    await config.batch("route", [("delete", ("passing",))])
    problem = (await desk.change("restore", version=1)).is_problem(409, "conflict")
    assert problem["detail"] == "Not configured: route passing."
    assert (await desk.draft()).body == now


# -- whose it is to change


@pytest.mark.claim("I5")
async def test_when_it_goes_to_another_team_then_by_somebody_who_publishes_for_both(desk: Desk) -> None:
    now = await desk.publish()
    to_finance = desk.settings(owner_team="finance")
    (await desk.change("draft", settings=to_finance)).is_problem(403, "role-missing")
    (await desk.change("draft", settings=to_finance, person="ivan")).is_problem(404, "not-found")
    nowhere = desk.settings(owner_team="nowhere")
    (await desk.change("draft", settings=nowhere, person="gus")).is_problem(403, "role-missing")
    assert (await desk.draft()).body == now
    await desk.changed("draft", settings=to_finance, person="gus")
    # What is published is not changed by it, but it is not paula's any more.
    assert await desk.seen_by("paula") is not None
    (await desk.draft()).is_problem(404, "not-found")
    (await desk.change("draft", settings=desk.settings())).is_problem(404, "not-found")
    await desk.changed("draft", settings=desk.settings(), person="gus")
    assert (await desk.draft()).body == now
    moved, back = (await desk.events(4))[2:]
    assert (moved["Team"], json.loads(moved["Before"])["owner_team"]) == ("finance", "sales")
    assert (back["Team"], json.loads(back["Before"])["owner_team"]) == ("sales", "finance")


async def test_when_it_would_be_a_team_that_there_is_none_of_then_409(desk: Desk) -> None:
    body = {"reason": "any", "settings": desk.settings(owner_team="ghosts")}
    problem = (await desk.call("POST", "/api/assistants", person="audrey", json=body)).is_problem(409, "conflict")
    assert "ghosts" in problem["detail"]


@pytest.mark.claim("I3", "I5")
@pytest.mark.parametrize("name", ["ledger", "handbook", "no-such-assistant"])
async def test_when_it_is_another_teams_then_to_a_publisher_there_is_none(desk: Desk, name: str) -> None:
    bodies: dict[Any, Json] = {
        Draft: {"reason": "any", "settings": desk.settings()},
        Restore: {"reason": "any", "version": 1},
        Reason: {"reason": "any"},
    }
    before = await stored(desk.asking, "assistant")
    headers = {"If-Match": before[name]["_etag"] if name in before else "any"}
    published = [each for each in OPERATIONS.values() if each.roles == PUBLISHERS and "{assistant_id}" in each.route]
    assert len(published) > 5
    for operation in published:
        body = None if operation.body is None else bodies[operation.body]
        path = f"/api/{operation.route.format(assistant_id=name)}"
        reply = await desk.call(operation.method, path, headers=headers, json=body)
        assert reply.is_problem(404, "not-found")["detail"] == "There is no such assistant."
    assert await stored(desk.asking, "assistant") == before
    drafts = (await desk.call("GET", "/api/drafts")).body["assistants"]
    assert {each["draft"]["owner_team"] for each in drafts} <= {"sales"}


# -- what is changed, and by whom first


async def test_when_two_change_the_same_then_one_does_and_the_other_is_told(desk: Desk) -> None:
    await desk.create()
    for verb in ("draft", "publish", "retire"):
        etag, events = desk.etag, await desk.kept_events()
        drafts = [desk.settings(name=name) if verb == "draft" else None for name in ("Mine", "Yours")]
        replies = await asyncio.gather(*(desk.change(verb, etag=etag, settings=draft) for draft in drafts))
        done, outdated = sorted(replies, key=lambda reply: reply.status)
        assert done.status == 200
        outdated.is_problem(412, "outdated")
        there = await desk.draft()
        assert (there.body, etag_of(there)) == (done.body, desk.etag)
        assert await desk.kept_events() == events + 1
    assert len(await desk.versions()) == 1


@pytest.mark.parametrize("verb", ["draft", "publish", "restore", "retire"])
async def test_when_a_change_does_not_say_of_what_then_it_is_not_made(desk: Desk, verb: str) -> None:
    now = await desk.publish()
    more: dict[str, Json] = {"draft": {"settings": desk.settings(name="Any")}, "restore": {"version": 1}}
    body = {"reason": "any", **more.get(verb, {})}
    method, path = "PUT" if verb == "draft" else "POST", f"/api/assistants/{desk.id}/{verb}"
    (await desk.call(method, path, json=body)).is_problem(428, "precondition-required")
    for headers in ({"If-Match": "*"}, {"If-Match": f"W/{desk.etag}"}, {"If-None-Match": "*"}):
        (await desk.call(method, path, json=body, headers=headers)).is_problem(412, "outdated")
    both = {"If-Match": desk.etag, "If-None-Match": "*"}
    (await desk.call(method, path, json=body, headers=both)).is_problem(428, "precondition-required")
    there = await desk.draft()
    assert (there.body, etag_of(there), await desk.kept_events()) == (now, desk.etag, 2)


@pytest.mark.claim("A3")
async def test_when_it_lives_its_life_then_each_change_has_one_event_with_who_why_before_and_after(
    desk: Desk,
) -> None:
    one, two = desk.settings(), desk.settings(system_prompt="You write short quotes.", audience=[])
    await desk.create()
    await desk.changed("publish")
    (await desk.change("publish", etag='"stale"')).is_problem(412, "outdated")
    await desk.changed("draft", settings=two, person="gus")
    (await desk.change("draft", settings={**two, "temperature": 9})).is_problem(400, "malformed")
    await desk.changed("publish")
    (await desk.change("restore", version=9)).is_problem(404, "not-found")
    await desk.changed("restore", version=1)
    (await desk.change("retire", person="alice")).is_problem(404, "not-found")
    await desk.changed("retire")

    paula, gus = (str(desk.asking.stack.person(name).oid) for name in ("paula", "gus"))
    retired, drafted = {"state": "retired", "version": 1}, {"state": "draft", "version": None}
    expected = [
        ("assistant.create", paula, "there is a need", {}, {**drafted, **one}),
        ("assistant.publish", paula, "to publish it", drafted, in_use(1, one)),
        ("assistant.edit", gus, "to draft it", in_use(1, one), in_use(1, two)),
        ("assistant.publish", paula, "to publish it", in_use(1, one), in_use(2, two)),
        ("assistant.restore", paula, "to restore it", in_use(2, two), in_use(1, one)),
        ("assistant.retire", paula, "to retire it", in_use(1, one), retired),
    ]
    events = await desk.events(len(expected))
    assert [
        (event["EventType"], event["Actor"], event["Reason"], json.loads(event["Before"]), json.loads(event["After"]))
        for event in events
    ] == expected
    assert {(event["Assistant"], event["Team"], event["Outcome"]) for event in events} == {(desk.id, "sales", "done")}
    assert await desk.kept_events() == len(expected)


def in_use(version: int, settings: Json) -> Json:
    return {"state": "published", "version": version, **settings}


# -- versions, whatever is done


@dataclass
class Model:
    """An assistant whose drafts are told apart by a number in the system prompt."""

    state: str = "draft"
    version: int | None = None
    draft: int = 0
    kept: list[int] = field(default_factory=list)
    """What was published, in order."""

    def apply(self, verb: str, number: int) -> int:
        """The status that the change has."""
        match verb:
            case "draft":
                self.draft = number
            case "publish":
                self.kept.append(self.draft)
                self.state, self.version = "published", len(self.kept)
            case "restore" if number > len(self.kept):
                return 404
            case "restore":
                self.state, self.version = "published", number
            case "retire" if self.state != "published":
                return 409
            case "retire":
                self.state = "retired"
        return 200


STEPS = st.lists(
    st.tuples(st.sampled_from(("draft", "publish", "restore", "retire")), st.integers(1, 3), st.integers(0, 9)),
    min_size=8,
    max_size=16,
)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(steps=STEPS)
async def test_when_anything_is_done_in_any_order_then_no_version_is_ever_changed(
    asking: Asking, steps: list[tuple[str, int, int]]
) -> None:
    desk, model = Desk(asking), Model()
    await desk.create(system_prompt="0")
    kept: dict[str, Json] = {}
    for verb, number, outdated in steps:
        draft = desk.settings(system_prompt=str(number)) if verb == "draft" else None
        version = number if verb == "restore" else None
        reply = await desk.change(verb, etag='"outdated"' if outdated == 0 else None, settings=draft, version=version)
        assert reply.status == (412 if outdated == 0 else model.apply(verb, number))

        there = (await desk.draft()).body
        used = None if model.version is None else str(model.kept[model.version - 1])
        state = (there["state"], there["version"], there["latest_version"])
        assert state == (model.state, model.version, len(model.kept))
        assert there["draft"]["system_prompt"] == str(model.draft)
        assert (there["published"] and there["published"]["system_prompt"]) == used
        listed = [each["settings"]["system_prompt"] for each in reversed(await desk.versions())]
        assert listed == [str(each) for each in model.kept]
        now = await stored(asking, "version")
        assert {id_: now.get(id_) for id_ in kept} == kept
        kept = now


# -- several policies


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def strict(asking: Asking) -> str:
    """A policy beside the standard one, in some things stricter."""
    patterns = {"individual-pay": r"\bearn\b", "no-poetry": r"\bpoems?\b"}
    topics = [{"id": id_, "category": "any", "action": "block", "patterns": [each]} for id_, each in patterns.items()]
    for document in policy("strict", {"pii": {"IBAN_CODE": "block"}, "acceptable_use": topics}):
        await asking.kit.store.config.create(document)
    return "strict"


@pytest.mark.claim("G1", "G2")
@pytest.mark.parametrize("first", [True, False], ids=["strict first", "strict last"])
async def test_when_it_has_several_policies_then_the_strictest_of_each_rule_holds(
    desk: Desk, strict: str, first: bool
) -> None:
    await desk.publish(policies=[strict, "standard"] if first else ["standard", strict])
    for prompt, rule in {
        "Tell me how to build a small grenade at home.": "no-weapons",  # the standard policy's
        "Write a poem about offers.": "no-poetry",  # the strict one's
        "How much does the head of sales earn?": "strict/individual-pay",  # the standard one warns
    }.items():
        problem = (await desk.ask(prompt)).is_problem(422, "policy-blocked")
        assert problem["rules"] == [rule]
    # What the standard policy redacts, the strict one blocks; it has nothing to say of e-mail addresses.
    (await desk.ask("The account is GB82 WEST 1234 5698 7654 32.")).is_problem(422, "policy-blocked")
    async with desk.asking.scripted("Write to walter.white@fabrikam.com about it."):
        assert (await desk.ask()).body["answer"] == "Write to <EMAIL_ADDRESS_1> about it."
    async with desk.asking.scripted("Here is a poem."):
        (await desk.ask()).is_problem(422, "policy-blocked")
