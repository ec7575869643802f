"""The way in: one text, one policy, one verdict. Whatever goes wrong is an error, never a pass.

Importing this module is cheap; the recognisers and the model for names are loaded at the first check of a process.
"""

import asyncio
import secrets
from dataclasses import dataclass, field

from guardrails.analysis_thread import analyse
from guardrails.detection import Detector
from guardrails.disguises import rewritten
from guardrails.errors import DetectorRefused, GuardrailFailed, GuardrailTimeout
from guardrails.formats import misshapen
from guardrails.leak import leaks
from guardrails.numbering import Numbering
from guardrails.orders import orders, without
from guardrails.pii import local_detector, redacted
from guardrails.policy import Policy, Trail
from guardrails.reading import as_typed
from guardrails.readings import forget
from guardrails.topics import Remote, Side, asked, concerning, matches
from guardrails.verdict import Action, Verdict

TIME_LIMIT = 30.0
"""Seconds for one check, waiting for the analysis thread included. A text of 100,000 characters takes 1 to 5 on one
core that it has for itself, hostile ones not much longer; those that take longer are refused."""


@dataclass(frozen=True)
class Checked:
    """A text as the guardrails leave it, and their verdict. When that blocks, the text must still not go on."""

    text: str = field(repr=False)
    verdict: Verdict


@dataclass(frozen=True)
class About:
    """What an answer is held against."""

    sources: int = 0
    """How many it could cite."""
    instructions: str = ""
    """The system prompt, which it must not tell."""


NOTHING = About()


async def check(
    text: str,
    policy: Policy,
    *,
    side: Side = Side.PROMPT,
    about: About = NOTHING,
    remote: Remote | None = None,
    detector: Detector = local_detector,
    numbering: Numbering | None = None,
    time_limit: float = TIME_LIMIT,
) -> Checked:
    """Checks a prompt, an answer, or a text that an answer is to be grounded in.

    What is redacted gets its placeholder from the numbering, which is the conversation's; without one, each text has
    its own. What leaves this process for a remote detector is the text without what the policy removes from it. Raises
    GuardrailTimeout when the time limit (seconds) has passed, DetectorRefused for a remote detector that may not be
    asked, GuardrailFailed for any other failure.
    """
    topics = concerning(policy.acceptable_use, side)
    try:
        async with asyncio.timeout(time_limit):
            findings = [*await analyse(matches, text, topics)]
            if side is Side.ANSWER:
                findings += await analyse(misshapen, text, policy.output, about.sources)
                findings += await analyse(leaks, text, about.instructions)
            findings += (given := await analyse(orders, text, policy.injection, side))
            reading = rewritten(as_typed(text), without(text, given))
            clean, personal_data = await redacted(text, reading, policy, detector, numbering or _of_its_own())
            findings += personal_data
            if all(finding.action is not Action.BLOCK for finding in findings):  # what is blocked goes nowhere else
                findings += [
                    finding.model_copy(update={"start": 0, "end": len(text)})  # they saw another text: all of it counts
                    for finding in await asked(clean, topics, side, remote)
                ]
            return Checked(clean, Verdict.of(findings))
    except (GuardrailFailed, DetectorRefused):
        raise
    except TimeoutError:
        raise GuardrailTimeout("the guardrails gave no verdict in time") from None
    except Exception as error:
        # Not `from error`: its message may quote the text.
        raise GuardrailFailed(f"the guardrails failed: {type(error).__name__}") from None
    finally:
        forget()


async def for_trail(text: str, policy: Policy) -> str | None:
    """What the trail may keep of a text that :func:`check` has passed; None for nothing. Raises what that raises."""
    match policy.trail:
        case Trail.FULL:
            return text
        case Trail.HASH:
            return None
        case Trail.REDACTED:
            personal_data = dict.fromkeys(policy.pii, Action.REDACT)
            only_that = policy.model_copy(update={"pii": personal_data, "acceptable_use": [], "output": []})
            return (await check(text, only_that, side=Side.ANSWER)).text


def _of_its_own() -> Numbering:
    return Numbering(secrets.token_bytes(32))
