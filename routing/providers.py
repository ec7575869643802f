"""The model SDKs. Only ``governed_call`` may import this module: an import contract holds that."""

import openai
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

from routing.endpoints import Endpoint
from routing.messages import Completion, Message

GATEWAY_STATUSES = (408, 502, 504)
"""Said by what stands before a model, which may have run all the same."""


class ModelError(Exception):
    """The model did not answer. The message names the kind of failure; it never holds content."""

    worth_repeating = True


class ModelRefused(ModelError):
    """The provider answered with an error: nothing was generated, nothing is charged."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.worth_repeating = status in (408, 409, 429) or status >= 500


class ModelUnreachable(ModelError):
    """The request never reached the provider."""


class ModelOutcomeUnknown(ModelError):
    """The request was sent and no answer came: the provider may have charged for it."""


_clients: dict[str, openai.AsyncOpenAI] = {}


def _client(endpoint: Endpoint) -> openai.AsyncOpenAI:
    if endpoint.base_url not in _clients:
        # No retries here: a repeat is a new attempt, reserved anew.
        _clients[endpoint.base_url] = openai.AsyncOpenAI(base_url=endpoint.base_url, api_key="unused", max_retries=0)
    return _clients[endpoint.base_url]


async def complete(
    endpoint: Endpoint, messages: list[Message], *, temperature: float, max_output_tokens: int, timeout_seconds: float
) -> Completion:
    """One chat completion. Raises :class:`ModelError`, as named in its subclasses."""
    sent: list[ChatCompletionMessageParam] = [_param(message) for message in messages]
    try:
        answer = await _client(endpoint).chat.completions.create(
            model=endpoint.model,
            messages=sent,
            temperature=temperature,
            max_tokens=max_output_tokens,
            timeout=timeout_seconds,
        )
    except openai.APIStatusError as error:
        if error.status_code in GATEWAY_STATUSES:
            raise ModelOutcomeUnknown(f"status {error.status_code}") from None
        raise ModelRefused(error.status_code) from None
    except openai.APIConnectionError as error:
        if type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout"):
            raise ModelUnreachable(type(error.__cause__).__name__) from None
        raise ModelOutcomeUnknown(type(error).__name__) from None
    except Exception as error:
        raise ModelOutcomeUnknown(type(error).__name__) from None
    try:
        return _completion(answer)
    except (AttributeError, IndexError, TypeError, ValueError):
        raise ModelOutcomeUnknown("an answer that is no completion") from None


def _completion(answer: ChatCompletion) -> Completion:
    choice, usage = answer.choices[0], answer.usage
    details = usage.prompt_tokens_details if usage else None
    return Completion(
        text=choice.message.content or "",
        model=answer.model,
        finish_reason=choice.finish_reason,
        input_tokens=usage.prompt_tokens if usage else None,
        cached_input_tokens=details.cached_tokens if details else None,
        output_tokens=usage.completion_tokens if usage else None,
    )


def _param(message: Message) -> ChatCompletionMessageParam:
    match message["role"]:
        case "system":
            return {"role": "system", "content": message["content"]}
        case "user":
            return {"role": "user", "content": message["content"]}
        case "assistant":
            return {"role": "assistant", "content": message["content"]}
