"""By which rules a request is judged: those of its assistant and policies, read when they are needed."""

from governance.policies import PolicyUnknown, find_policy
from governance.problems import ProblemError
from governance.request import Request
from governance.sealed import hashing_key
from guardrails.numbering import Numbering
from guardrails.policy import Policy, strictest, tightened
from guardrails.verdict import Action
from routing.assistants import Assistant, assistant_in_use
from services.platform import Platform


class PolicyMissing(ProblemError):
    """The assistant names a guardrail policy that isn't configured: nothing can be checked, so nothing passes."""

    type = "not-available"
    detail = "The assistant's guardrail policy is not configured."


async def assistant_of(services: Platform, request: Request) -> Assistant:
    return await assistant_in_use(
        services.store.config, request.assistant, request.assistant_version, request.person.groups
    )


async def policy_of(services: Platform, assistant: Assistant) -> Policy:
    """The assistant's rules, read now. A policy that there is none of, or that can't be enforced, lets nothing pass."""
    policies = []
    for policy_id in assistant.policies:
        try:
            kept, _ = await find_policy(services.store.config, policy_id)
        except PolicyUnknown:
            raise PolicyMissing(policy_id) from None
        policies.append(Policy.model_validate({**kept.rules, "id": kept.id, "version": kept.version}))
    return tightened(strictest(policies), {category: Action(action) for category, action in assistant.pii.items()})


def without_remote(policy: Policy) -> Policy:
    """The policy without the topics that a detector elsewhere judges: for what is looked at beside a question."""
    return policy.model_copy(update={"acceptable_use": [each for each in policy.acceptable_use if not each.is_remote]})


def numbering_of(services: Platform, request: Request) -> Numbering:
    """The placeholders of this request or its conversation, under a key of its own: hashes of two can't be compared."""
    return Numbering(hashing_key(secret_of(services), request.conversation or request.id), request.placeholders)


def secret_of(services: Platform) -> bytes:
    return services.settings.redaction_key.get_secret_value()
