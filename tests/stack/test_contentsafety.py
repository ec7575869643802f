"""Azure AI Content Safety as the product asks it, with its managed identity, against the stand-in."""

import asyncio
import json
import logging
import traceback
from typing import Any

import pytest
from aiohttp import web
from azure.ai.contentsafety.aio import ContentSafetyClient
from azure.ai.contentsafety.models import AnalyzeTextOptions
from azure.core.credentials import AccessToken
from azure.identity import CredentialUnavailableError
from azure.identity.aio import ManagedIdentityCredential

from local.standin import serving
from local.tls import Certificates, server_context
from services.content_safety import (
    CATEGORIES,
    CHARACTERS_A_CALL,
    OVERLAP,
    TIMEOUT_SECONDS,
    ContentSafety,
    ContentSafetyUnavailable,
    Shielded,
)
from tests.stack.contentsafety_kit import DAN, E_MAIL, SAFE, SECRET, Service, unavailable
from tests.stack.contentsafety_kit import sdk as sdk
from tests.stack.contentsafety_kit import service as service
from tests.stack.cosmos_kit import Credential
from tests.stack.cosmos_kit import certificates as certificates

STEP = CHARACTERS_A_CALL - OVERLAP
MARK = f"<{'y' * (OVERLAP - 2)}>"
"""As long as what is still seen whole wherever a text is cut."""
OPERATIONS = pytest.mark.parametrize("operation", ["analyze", "shieldPrompt"])


# -- what it says


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("How do I kill a Python process?", {}),
        ("They wrote about a massacre", {"Violence": 6}),
        ("MURDER and porn", {"Violence": 4, "Sexual": 4}),
        ("the word of the day: aubergine", {"Hate": 2, "SelfHarm": 6}),
    ],
)
async def test_when_a_text_is_analysed_then_the_product_and_microsofts_client_are_told_the_same(
    service: Service, sdk: ContentSafetyClient, text: str, found: dict[str, int]
) -> None:
    await service.script(
        {"match": "auber", "categories": {"Hate": 2}}, {"match": "gine$", "categories": {"Hate": 2, "SelfHarm": 6}}
    )
    assert await service.safety.severities(text) == SAFE | found
    analysis = await sdk.analyze_text(AnalyzeTextOptions(text=text))
    assert {each.category: each.severity for each in analysis.categories_analysis} == SAFE | found
    assert service.control.counts == {"analyze": 2}


@pytest.mark.parametrize(
    ("prompt", "documents", "shielded"),
    [
        ("hello", [], Shielded(False, [])),
        (DAN, [], Shielded(True, [])),
        ("hello", ["An offer", E_MAIL, "A letter"], Shielded(False, [False, True, False])),
        (DAN, [E_MAIL], Shielded(True, [True])),
        ("", ["An offer", E_MAIL], Shielded(False, [False, True])),
        ("hello", ["", E_MAIL, ""], Shielded(False, [False, True, False])),
        ("now say tea", ["now say coffee"], Shielded(True, [False])),
    ],
)
async def test_when_a_prompt_or_a_document_is_an_attack_then_it_is_the_one_that_is_named(
    service: Service, prompt: str, documents: list[str], shielded: Shielded
) -> None:
    await service.script({"match": "say tea", "attack": True})
    assert await service.safety.shield(prompt, documents) == shielded
    assert service.control.counts == {"shieldPrompt": 1}


async def test_when_there_is_nothing_to_look_at_then_nobody_is_asked(service: Service) -> None:
    assert await service.safety.severities("") == SAFE
    assert await service.safety.shield("", ["", ""]) == Shielded(False, [False, False])
    assert not service.control.counts
    assert not service.entra.control.counts


async def test_when_it_is_asked_again_then_the_app_needs_no_other_token(service: Service) -> None:
    for _ in range(3):
        await service.safety.severities("hello")
        await service.safety.shield("hello")
    assert service.entra.count("msi-token") == 1


# -- texts that are longer than it takes


@pytest.mark.parametrize("letter", ["x", "🦜", "\0"])
@pytest.mark.parametrize(
    ("length", "calls"),
    [
        (1, 1),
        (CHARACTERS_A_CALL, 1),
        (CHARACTERS_A_CALL + 1, 2),
        (CHARACTERS_A_CALL + STEP, 2),
        (CHARACTERS_A_CALL + STEP + 1, 3),
        (100_000, 11),
    ],
)
async def test_when_a_text_is_long_then_it_is_asked_about_in_as_few_pieces_as_the_service_takes(
    service: Service, letter: str, length: int, calls: int
) -> None:
    assert await service.safety.severities(letter * length) == SAFE
    assert await service.safety.shield(letter * length) == Shielded(False, [])
    assert service.control.counts == {"analyze": calls, "shieldPrompt": calls}


@pytest.mark.parametrize("after", [0, 1, 10_000])
@pytest.mark.parametrize(
    "before",
    [0, STEP - OVERLAP, STEP - 1, STEP, STEP + 1, CHARACTERS_A_CALL - OVERLAP // 2, CHARACTERS_A_CALL, 2 * STEP + 7],
)
async def test_when_something_lies_where_a_text_is_cut_then_it_is_seen(
    service: Service, before: int, after: int
) -> None:
    await service.script({"match": f"<y{{{OVERLAP - 2}}}>", "categories": {"Violence": 2}, "attack": True})
    text = "x" * before + MARK + "x" * after
    assert await service.safety.severities(text) == SAFE | {"Violence": 2}
    assert await service.safety.shield(text, ["An offer", text]) == Shielded(True, [False, True])


async def test_when_pieces_differ_then_the_worst_counts_in_each_category(service: Service) -> None:
    await service.script({"match": "vex", "categories": {"Hate": 2}})
    parts = [" murder massacre ", " vex punch ", " porn murder "]
    assert await service.safety.severities("".join(part.ljust(CHARACTERS_A_CALL, "x") for part in parts)) == {
        "Hate": 2,
        "SelfHarm": 0,
        "Sexual": 4,
        "Violence": 6,
    }


@pytest.mark.parametrize(
    ("lengths", "calls"),
    [
        ([20] * 5, 1),
        ([20] * 6, 2),
        ([20] * 17, 4),
        ([5_000, 5_000], 1),
        ([5_000, 5_001], 2),
        ([10_000] * 3, 3),
        ([25_000, 20, 20], 3),
        ([0] * 100 + [20], 1),
    ],
)
async def test_when_documents_are_many_or_long_then_each_is_told_its_own(
    service: Service, lengths: list[int], calls: int
) -> None:
    await service.script({"match": "@@$", "attack": True})
    for attackers in (set[int](), {0}, {len(lengths) - 1}, set(range(0, len(lengths), 2))):
        attackers = {number for number in attackers if lengths[number]}
        documents = [("@@" if n in attackers else "").rjust(length, "x") for n, length in enumerate(lengths)]
        service.control.counts.clear()
        shielded = await service.safety.shield("hello", documents)
        assert shielded == Shielded(False, [number in attackers for number in range(len(lengths))])
        assert service.control.counts == {"shieldPrompt": calls}


async def test_when_prompt_and_documents_are_both_long_then_they_share_the_calls(service: Service) -> None:
    prompt = "x" * 4 * STEP + f" {DAN}"
    assert await service.safety.shield(prompt, ["x" * 20_000, E_MAIL]) == Shielded(True, [False, True])
    assert service.control.counts == {"shieldPrompt": 4}


# -- when it does not say


@OPERATIONS
@pytest.mark.parametrize(
    "fault",
    [
        *({"status": status} for status in (302, 400, 401, 403, 404, 429, 500, 503)),
        {"status": 429, "seconds": 1},
        {"kind": "drop"},
    ],
    ids=str,
)
async def test_when_it_fails_then_there_is_one_try_and_no_answer(
    service: Service, operation: str, fault: dict[str, Any]
) -> None:
    service.fault(operation, **fault)
    why = await unavailable(service.safety, operation)
    assert why == f"it answered with the status {fault['status']}" if "status" in fault else "Error" in why
    assert service.control.counts == {operation: 1}
    service.control.faults.clear()
    assert await service.safety.severities("murder") == SAFE | {"Violence": 4}
    assert await service.safety.shield(DAN) == Shielded(True, [])


@OPERATIONS
async def test_when_one_of_several_pieces_fails_then_what_the_others_say_is_not_enough(
    service: Service, operation: str
) -> None:
    service.fault(operation, times=1)
    await unavailable(service.safety, operation, "x" * 50_000)


async def test_when_it_or_the_identity_is_late_then_the_caller_is_told_in_time(service: Service) -> None:
    clock = asyncio.get_running_loop().time

    async def late(safety: ContentSafety, operation: str) -> float:
        began = clock()
        assert await unavailable(safety, operation) == "it did not answer in time"
        return clock() - began

    await service.safety.severities("hello")  # it has its token
    service.entra.fault("msi-token", kind="delay", seconds=TIMEOUT_SECONDS + 1)
    service.fault("*", kind="delay", seconds=TIMEOUT_SECONDS + 1)
    async with (
        ManagedIdentityCredential() as identity,
        ContentSafety(service.url, identity, **service.transport) as tokenless,
    ):
        calls = [late(service.safety, "analyze"), late(service.safety, "shieldPrompt"), late(tokenless, "analyze")]
        for took in await asyncio.gather(*calls):
            assert TIMEOUT_SECONDS - 0.1 < took < TIMEOUT_SECONDS + 1
    assert service.control.counts == {"analyze": 2, "shieldPrompt": 1}


@OPERATIONS
async def test_when_the_app_is_given_no_token_then_nothing_is_sent(service: Service, operation: str) -> None:
    class Nobody(Credential):
        async def get_token(self, *_: str, **__: Any) -> AccessToken:
            raise CredentialUnavailableError("there is no identity")

    async with ContentSafety(service.url, Nobody(), **service.transport) as safety:
        assert await unavailable(safety, operation) == "CredentialUnavailableError"
    assert not service.control.counts


NOT_ANALYSES = [
    "",
    "null",
    "{}",
    '{"categoriesAnalysis": []}',
    '{"categoriesAnalysis": [{"category": "Hate", "severity": 0}]}',
    json.dumps({"categoriesAnalysis": [{"category": category} for category in CATEGORIES]}),
    *(
        json.dumps({"categoriesAnalysis": [{"category": category, "severity": severity} for category in CATEGORIES]})
        for severity in (3, -2, "0", None, True)
    ),
    "<html></html>",
    "not gzip",
]
NOT_SHIELDS = [
    "null",
    "{}",
    '{"userPromptAnalysis": {"attackDetected": false}}',
    '{"userPromptAnalysis": {"attackDetected": false}, "documentsAnalysis": []}',
    '{"userPromptAnalysis": null, "documentsAnalysis": [{"attackDetected": false}]}',
    '{"userPromptAnalysis": {"attackDetected": "false"}, "documentsAnalysis": [{"attackDetected": false}]}',
    '{"userPromptAnalysis": {"attackDetected": false}, "documentsAnalysis": [{}]}',
    '{"userPromptAnalysis": {}, "documentsAnalysis": [{"attackDetected": false}, {"attackDetected": false}]}',
    "not gzip",
]


@pytest.mark.parametrize(
    ("operation", "body"),
    [*(("analyze", body) for body in NOT_ANALYSES), *(("shieldPrompt", body) for body in NOT_SHIELDS)],
)
async def test_when_what_it_says_is_not_an_answer_then_it_is_none(
    certificates: Certificates, operation: str, body: str
) -> None:
    async def answer(_: web.Request) -> web.Response:
        headers = {"Content-Type": "application/json", **({"Content-Encoding": "gzip"} if body == "not gzip" else {})}
        return web.Response(text=body, headers=headers)

    app = web.Application()
    app.router.add_post(f"/contentsafety/text:{operation}", answer)
    await _unavailable_there(app, certificates, operation)


@OPERATIONS
async def test_when_it_sends_elsewhere_then_nobody_goes_there(certificates: Certificates, operation: str) -> None:
    async def away(_: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async def elsewhere(_: web.Request) -> web.Response:
        pytest.fail("the redirect was followed")

    app = web.Application()
    app.add_routes([web.post(f"/contentsafety/text:{operation}", away), web.post("/elsewhere", elsewhere)])
    assert await _unavailable_there(app, certificates, operation) == "it answered with the status 307"


async def _unavailable_there(app: web.Application, certificates: Certificates, operation: str) -> str:
    async with (
        serving(app, ssl_context=server_context(certificates.server)) as url,
        ContentSafety(url, Credential(), connection_verify=str(certificates.ca)) as safety,
    ):
        return await unavailable(safety, operation)


@OPERATIONS
async def test_when_the_token_is_of_nobody_or_for_something_else_then_it_is_refused(
    service: Service, operation: str
) -> None:
    class Mistaken(Credential):
        """Asks for tokens that are for another service."""

        async def get_token(self, *_: str, **options: Any) -> AccessToken:
            token: AccessToken = await service.identity.get_token("https://graph.microsoft.com/.default", **options)
            return token

    for credential in (Mistaken(), Credential()):
        async with ContentSafety(service.url, credential, **service.transport) as safety:
            assert await unavailable(safety, operation) == "it answered with the status 401"


# -- nothing of a text stays


def told(error: BaseException | None) -> str:
    """All that an error says, and what it comes from: what is hidden by `from None` too."""
    if error is None:
        return ""
    chain = told(error.__cause__) + told(error.__context__)
    return f"{error!r} {error.args} {''.join(traceback.format_exception(error, chain=False))} {chain}"


@OPERATIONS
@pytest.mark.parametrize(
    "fault",
    [*({"status": status} for status in (302, 400, 401, 429, 500)), {"kind": "drop"}, "not Unicode"],
    ids=str,
)
async def test_when_there_is_no_answer_then_the_text_is_in_no_log_and_no_error(
    service: Service, caplog: pytest.LogCaptureFixture, operation: str, fault: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    text = f"murder by {SECRET}"
    if fault == "not Unicode":
        text += "\ud83e"
    else:
        service.fault(operation, **fault)
    with pytest.raises(ContentSafetyUnavailable) as error:
        await _asked(service.safety, operation, text)
    assert caplog.records
    assert SECRET not in told(error.value) + caplog.text + await service.client.dump()


@OPERATIONS
async def test_when_it_answered_then_the_text_is_in_no_log_and_not_kept(
    service: Service, caplog: pytest.LogCaptureFixture, operation: str
) -> None:
    caplog.set_level(logging.DEBUG)
    await _asked(service.safety, operation, f"murder by {SECRET}")
    assert caplog.records
    assert SECRET not in caplog.text + await service.client.dump()


@OPERATIONS
async def test_when_it_answers_with_the_text_then_the_error_does_not_have_it(
    certificates: Certificates, operation: str
) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.json_response(await request.json())

    app = web.Application()
    app.router.add_post(f"/contentsafety/text:{operation}", echo)
    async with (
        serving(app, ssl_context=server_context(certificates.server)) as url,
        ContentSafety(url, Credential(), connection_verify=str(certificates.ca)) as safety,
    ):
        with pytest.raises(ContentSafetyUnavailable) as error:
            await _asked(safety, operation, SECRET)
    assert "ContentSafetyUnavailable" in told(error.value)
    assert SECRET not in told(error.value)


async def _asked(safety: ContentSafety, operation: str, text: str) -> None:
    await (safety.severities(text) if operation == "analyze" else safety.shield(text, [text]))
