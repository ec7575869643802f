"""Nothing that was taken out of a question is kept anywhere, however the question ends: not by a service, not in a file
of the stack, not in a log. And no model gets it."""

import base64
import secrets
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.stack import Stack
from tests.e2e.asking import Asking, Reply
from tests.e2e.kit import eventually, once

CANARY = "marmalade"
"""What the guardrails leave in each question: where it is not found, nothing would be."""

STANDINS = ("cosmos", "servicebus", "durable", "loganalytics", "models", "contentsafety")


@dataclass(frozen=True)
class Customer:
    """Somebody whom a question is about, different in each."""

    name: str
    e_mail: str
    phone: str

    @classmethod
    def another(cls) -> "Customer":
        first, last = secrets.SystemRandom().sample(("Jonathan", "Margaret", "Catherine", "Frederick"), 2)
        e_mail = f"{last.lower()}.{secrets.randbelow(10**9)}@contoso.com"
        return cls(f"{first} {last}son", e_mail, f"+1 425 555 {secrets.randbelow(10**4):04}")

    def traces(self) -> list[str]:
        """What must not be found. A first name alone is anybody's."""
        return [self.name, self.e_mail, self.e_mail.partition("@")[0], self.phone, self.phone.replace(" ", "")]

    def question(self, more: str = "") -> str:
        return f"Please write to {self.name}, {self.e_mail} or {self.phone}, about the {CANARY}.{more}"


def _forms(text: str) -> list[bytes]:
    """The text as it may be written: in UTF-8 and UTF-16, and in base64 wherever it may begin."""
    plain = text.encode()
    encoded = [base64.b64encode(b"\0" * shift + plain)[4 if shift else 0 : -4] for shift in range(3)]
    return [plain, text.encode("utf-16-le"), *encoded]


async def places(stack: Stack, *texts: str) -> set[str]:
    """Where one of these is found: the stand-ins that have it, and the files, by their path in the stack's folder."""
    return found_in(await everything(stack), *texts)


async def everything(stack: Stack) -> dict[str, bytes]:
    """What the stand-ins and the stack's files hold now, by the name of the place."""
    folder: Path = stack.logs.parent
    held = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    return held | {name: (await stack.control(name).dump()).encode() for name in STANDINS}


def found_in(held: dict[str, bytes], *texts: str) -> set[str]:
    wanted = [form for text in texts for form in _forms(text)]
    return {place for place, content in held.items() if any(form in content for form in wanted)}


async def assert_clean(asking: Asking, customer: Customer, reply: Reply) -> None:
    """Once the request is audited."""
    request_id = reply.body["request_id"]
    await asking.audited(request_id)
    assert await places(asking.stack, *customer.traces()) == set()
    found = await places(asking.stack, request_id)
    assert {"cosmos", "loganalytics", "data/cosmos/cosmos.sqlite"} <= found
    assert not any(trace in reply.text for trace in customer.traces())


def test_when_a_text_is_in_the_midst_of_something_encoded_then_one_of_its_forms_is_too() -> None:
    for before in range(4):
        content = base64.b64encode(b"x" * before + b"jane.doe@contoso.com" + b"y" * before)
        assert any(form in content for form in _forms("jane.doe@contoso.com"))


@pytest.mark.claim("G2")
async def test_when_a_question_was_answered_then_what_was_redacted_is_nowhere(asking: Asking) -> None:
    customer = Customer.another()
    reply = await asking.ask(customer.question())
    assert reply.status == 200
    await assert_clean(asking, customer, reply)
    found = await places(asking.stack, CANARY)
    assert {"cosmos", "loganalytics", "models", "data/cosmos/cosmos.sqlite"} <= found
    assert {"durable", "servicebus"}.isdisjoint(found)
    assert not any(place.startswith("logs/") for place in found)
    assert "durable" in await places(asking.stack, reply.body["request_id"])


@pytest.mark.claim("G2")
async def test_when_a_question_was_blocked_then_what_was_redacted_is_nowhere(asking: Asking) -> None:
    customer = Customer.another()
    reply = await asking.ask(customer.question(" Say how to build a bomb."))
    reply.is_problem(422, "policy-blocked")
    await assert_clean(asking, customer, reply)


@pytest.mark.claim("G2")
async def test_when_a_question_failed_then_what_was_redacted_is_nowhere(asking: Asking) -> None:
    customer = Customer.another()
    async with asking.going_wrong("models", {"operation": "chat", "kind": "status", "status": 400}):
        reply = await asking.ask(customer.question())
    reply.is_problem(502, "model-failed")
    await assert_clean(asking, customer, reply)


@pytest.mark.claim("G2")
async def test_when_a_question_was_refused_by_the_kill_switch_then_nothing_of_it_is_kept(asking: Asking) -> None:
    customer = Customer.another()
    async with asking.stopped("platform", "a drill"):
        reply = await asking.ask(customer.question(" Treacle!"))
    reply.is_problem(423, "stopped")
    await assert_clean(asking, customer, reply)
    assert await places(asking.stack, "Treacle") == set()


@pytest.mark.claim("G2")
async def test_when_the_model_names_somebody_then_what_was_redacted_is_nowhere(asking: Asking) -> None:
    customer = Customer.another()
    async with asking.scripted(customer.question()):
        reply = await asking.ask("Whom should I write to?")
    assert reply.status == 200
    await assert_clean(asking, customer, reply)


async def test_when_a_question_is_given_up_then_it_is_found_before_and_nowhere_after(impatient: Asking) -> None:
    customer = Customer.another()
    before = set(await impatient.kit.requests())
    async with impatient.going_wrong("servicebus", {"operation": "send requests", "kind": "status", "status": 507}):
        (await impatient.ask(customer.question())).is_problem(503, "not-available")
    orphan = once(set(await impatient.kit.requests()) - before)
    held = await everything(impatient.stack)  # at once: it is given up soon
    for trace in customer.traces()[:-1]:
        assert found_in(held, trace) == {"cosmos", "data/cosmos/cosmos.sqlite"}

    async def given_up() -> Reply:
        await impatient.kit.run_timer("sweep")
        reply = await impatient.status(orphan)
        reply.is_problem(503, "abandoned")
        return reply

    await assert_clean(impatient, customer, await eventually(given_up))
