"""Guardrail policies: what may be said, changed by governors, in use at once; and what one would do to a text."""

from typing import Any

import azure.durable_functions as df
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from api.body import Malformed, TooLarge
from api.operation import Call, Reply, operation
from api.problems import NotAvailable
from api.reason import Reason
from governance import policies
from governance.access import Role
from governance.policies import KeptPolicy, PolicyId, PolicyUnknown
from guardrails.analysis_thread import analyse
from guardrails.check import check
from guardrails.errors import GuardrailFailed
from guardrails.patterns import PatternBacktracks
from guardrails.policy import Policy, Rules, require_enforceable
from guardrails.topics import Side
from guardrails.verdict import Action, Finding

bp = df.Blueprint()

GOVERNORS = (Role.GOVERNOR,)
READERS = (Role.GOVERNOR, Role.AUDITOR)
NAMERS = (Role.GOVERNOR, Role.AUDITOR, Role.PUBLISHER)

POLICY_CHARACTERS = 60_000
"""Of a policy as JSON: the trail keeps it before and after in a column each."""
TRIED_CHARACTERS = 20_000

_policy_id = TypeAdapter[str](PolicyId)


class PolicyName(BaseModel):
    id: str
    version: int


class PolicyNames(BaseModel):
    policies: list[PolicyName]


class NewRules(Reason):
    rules: Rules


class Trial(BaseModel):
    """A text that is looked at and kept nowhere."""

    text: str = Field(max_length=TRIED_CHARACTERS)
    side: Side = Side.PROMPT
    rules: Rules | None = None
    """Rules to try before they are saved; else those in use."""


class Tried(BaseModel):
    action: Action
    text: str
    """As it would go on."""
    findings: list[Finding]
    not_tried: list[str]
    """Topics that need a model or service beyond the guardrails, which a trial does not call."""


@operation(bp, "GET", "policies", answers={200: PolicyNames}, roles=NAMERS)
async def list_policies(call: Call[None]) -> Reply:
    """The policies that there are."""
    found = await policies.list_policies(call.services.store.config)
    return Reply(PolicyNames(policies=[PolicyName(id=each.id, version=each.version) for each, _ in found]))


@operation(bp, "GET", "policies/{policy_id}", answers={200: KeptPolicy}, roles=READERS)
async def get_policy(call: Call[None]) -> Reply:
    """The version in use; the ETag is what a change must name."""
    call.access.require(*READERS, team=None)
    policy, etag = await policies.find_policy(call.services.store.config, call.path("policy_id"))
    return Reply(policy, 200, {"ETag": etag})


@operation(bp, "GET", "policies/{policy_id}/versions/{version}", answers={200: KeptPolicy}, roles=READERS)
async def get_policy_version(call: Call[None]) -> Reply:
    """A version that was in use once, or still is."""
    call.access.require(*READERS, team=None)
    version = call.path("version")
    if not (version.isascii() and version.isdigit()):
        raise PolicyUnknown
    return Reply(await policies.find_version(call.services.store.config, call.path("policy_id"), int(version)))


@operation(bp, "PUT", "policies/{policy_id}", body=NewRules, answers={200: KeptPolicy}, roles=GOVERNORS, tagged=True)
async def put_policy(call: Call[NewRules]) -> Reply:
    """Make a policy, or its next version, in use at once."""
    call.access.require(*GOVERNORS, team=None)
    asked, etag = await call.body(POLICY_CHARACTERS), call.etag()
    rules = asked.rules.model_dump(mode="json")
    if len(asked.rules.model_dump_json()) > POLICY_CHARACTERS:
        raise TooLarge(POLICY_CHARACTERS)
    await _require_enforceable(asked.rules)
    policy_id = _known_form(call.path("policy_id"))
    policy, etag = await policies.save_policy(
        call.journal, policy_id, rules, etag=etag, actor=call.caller.oid, reason=asked.reason
    )
    return Reply(policy, 200, {"ETag": etag})


@operation(bp, "POST", "policies/{policy_id}/try", body=Trial, answers={200: Tried}, roles=GOVERNORS)
async def try_policy(call: Call[Trial]) -> Reply:
    """What a policy would do to a text. The text is kept nowhere, and no model is called."""
    call.access.require(*GOVERNORS, team=None)
    kept, _ = await policies.find_policy(call.services.store.config, call.path("policy_id"))
    trial = await call.body(TRIED_CHARACTERS + POLICY_CHARACTERS)
    rules: dict[str, Any] = kept.rules if trial.rules is None else trial.rules.model_dump()
    policy = Policy.model_validate({**rules, "id": kept.id, "version": kept.version})
    if trial.rules is not None:
        await _require_enforceable(trial.rules)
    here = [topic for topic in policy.acceptable_use if not topic.is_remote]
    try:
        checked = await check(trial.text, policy.model_copy(update={"acceptable_use": here}), side=trial.side)
    except GuardrailFailed:
        raise NotAvailable from None
    return Reply(
        Tried(
            action=checked.verdict.action,
            text=checked.text,
            findings=list(checked.verdict.findings),
            not_tried=[topic.id for topic in policy.acceptable_use if topic.is_remote],
        )
    )


async def _require_enforceable(rules: Rules) -> None:
    try:
        await analyse(require_enforceable, rules)
    except PatternBacktracks as error:
        raise Malformed(str(error)) from None


def _known_form(policy_id: str) -> str:
    try:
        return _policy_id.validate_python(policy_id)
    except ValidationError:
        raise PolicyUnknown from None
