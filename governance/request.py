"""What a request's document says (:mod:`governance.requests` has what becomes of it)."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from governance.problems import Problem
from services.clock import Timestamp

type State = Literal["queued", "running", "recorded", "released", "withheld"]


class Person(BaseModel):
    oid: str
    tenant_id: str
    groups: list[str]


class Stage(BaseModel):
    """One stage that has run."""

    started_at: Timestamp
    milliseconds: int
    verdict: dict[str, Any] | None = None


class Turn(BaseModel):
    """What was said before a question."""

    role: Literal["user", "assistant"]
    content: str


class Source(BaseModel):
    """A passage that an answer was grounded in, as it is shown and audited: where it is, and none of its text."""

    number: int
    """By which the answer cites it: ``[1]``."""
    title: str
    link: str | None = None
    page: int | None = None
    last_page: int | None = None
    collection: str
    document: str
    version: str
    """Of the document: what it said then."""
    chunk: str
    score: float
    """Cosine similarity to the question."""
    cited: bool = False


class Given(BaseModel):
    """The text of a source, as the guardrails left it."""

    title: str
    text: str


class ModelUse(BaseModel):
    """Which endpoint served a request, and what it took."""

    endpoint: str
    model: str
    """As the provider names it."""
    region: str
    currency: str
    input_tokens: int | None
    cached_input_tokens: int | None = None
    output_tokens: int | None
    finish_reason: str = "stop"


class Request(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    v: Literal[1] = 1
    id: str
    state: State
    created_at: Timestamp
    person: Person
    team: str
    assistant: str
    assistant_version: int
    trace_parent: str
    """W3C Trace Context, version 00."""
    prompt: str | None = None
    checked_prompt: str | None = None
    conversation: str | None = None
    """In which it was asked; its answer becomes a turn of it."""
    turn_days: int = 30
    """How long the policy lets that turn be kept."""
    turns: list[Turn] = []
    """What was said before, as the client says or the conversation has it, until ``check_prompt`` has passed it."""
    checked_turns: list[Turn] = []
    placeholders: dict[str, str] = {}
    """Which placeholder stands for which value, by the value's keyed hash."""
    sealed: str | None = None
    """What the caller's own placeholders stand for, encrypted (:mod:`governance.sealed`), until it is handed over."""
    stages: dict[str, Stage] = {}
    sources: list[Source] = []
    passages: list[Given] = []
    """Their texts, until the model has been asked."""
    calls: dict[str, dict[str, Any]] = {}
    stream: bool = False
    """Whether the answer may leave while it is made."""
    reply_session: str | None = None
    """Whom to tell of its windows."""
    streamed: str = ""
    """What of the answer has left."""
    cancelled: bool = False
    """Whoever asked does not want the answer any more."""
    unchecked_answer: str | None = None
    answer: str | None = None
    model: ModelUse | None = None
    cost_micro: int = 0
    """Of all attempts, in micro-units of the model's currency."""
    trail: dict[str, str | None] = {}
    """What the audit trail keeps of ``prompt`` and ``answer`` where that is not the text; None for nothing."""
    outcome: str | None = None
    problem: Problem | None = None
    audit: dict[str, Any] | None = None
    ended_at: Timestamp | None = None
    etag: str | None = Field(default=None, validation_alias="_etag", exclude=True)
    """Of the document that it was loaded from."""

    @property
    def over(self) -> bool:
        """Its outcome is recorded."""
        return self.state not in ("queued", "running")

    @property
    def answerable(self) -> bool:
        """A client may be told how it ended: a refusal once it is recorded, an answer once it is released."""
        return self.over and (self.problem is not None or self.state == "released")
