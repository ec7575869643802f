"""Properties of the Durable Task backend stand-in's parts."""

from collections.abc import Iterator

import durabletask.internal.orchestrator_service_pb2 as pb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from local.durable.dispatch import Dispatcher, Kind, Stream
from local.durable.instance import Instance
from local.durable.store import Store
from local.standin import Control, Fault
from tests.stack.durable_kit import call_activity

KINDS: tuple[Kind, ...] = ("orchestration", "activity")


class Piece:
    """A work item that knows how often it was done."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.operation = kind
        self.wanted = True
        self.done = 0

    def item(self, token: str) -> pb.WorkItem:
        return pb.WorkItem(completionToken=token)


class StreamsComeAndGo(RuleBasedStateMachine):
    """Each work item is done exactly once, whatever happens to streams and however often a worker answers."""

    def __init__(self) -> None:
        super().__init__()
        self.control = Control()
        self.dispatcher = Dispatcher(self.control)
        self.pieces: list[Piece] = []
        self.streams: list[Stream] = []
        self.tokens: list[str] = []

    @rule(kind=st.sampled_from(KINDS))
    def put(self, kind: Kind) -> None:
        self.pieces.append(Piece(kind))
        self.dispatcher.put(self.pieces[-1])

    @rule(turns=st.integers(0, 2), activities=st.integers(0, 3))
    def connect(self, turns: int, activities: int) -> None:
        self.streams.append(self.dispatcher.connect({"orchestration": turns, "activity": activities}))

    @precondition(lambda self: self.streams)
    @rule(data=st.data())
    def disconnect(self, data: st.DataObject) -> None:
        stream = data.draw(st.sampled_from(self.streams))
        self.tokens += self._sent(stream)  # its worker goes on
        self.dispatcher.disconnect(stream)
        self.streams.remove(stream)

    @precondition(lambda self: self.streams)
    @rule(data=st.data())
    def work(self, data: st.DataObject) -> None:
        sent = list(self._sent(data.draw(st.sampled_from(self.streams))))
        self.tokens += sent
        for token in sent:
            self._complete(token)

    @precondition(lambda self: self.tokens)
    @rule(data=st.data())
    def answer_late(self, data: st.DataObject) -> None:
        self._complete(data.draw(st.sampled_from(self.tokens)))

    @rule()
    def cut(self) -> None:
        self.control.faults = [Fault(operation="activity", kind="drop", times=1)]

    @invariant()
    def limits_hold(self) -> None:
        for stream in self.streams:
            for kind in KINDS:
                assert not stream.limits[kind] or len(stream.held[kind]) <= stream.limits[kind]

    def teardown(self) -> None:
        self.control.faults = []
        for stream in self.streams:
            self.dispatcher.disconnect(stream)
        last = self.dispatcher.connect({"orchestration": 0, "activity": 0})
        for token in [*self.tokens, *self._sent(last)]:
            self._complete(token)
        assert [piece.done for piece in self.pieces] == [1] * len(self.pieces)

    def _complete(self, token: str) -> None:
        if piece := self.dispatcher.complete(token, Piece):
            piece.done += 1

    @staticmethod
    def _sent(stream: Stream) -> Iterator[str]:
        while not stream.items.empty():
            if item := stream.items.get_nowait():
                yield item.completionToken


StreamsComeAndGo.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestStreamsComeAndGo = StreamsComeAndGo.TestCase


TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@settings(max_examples=20, deadline=None)
@given(TEXT, TEXT)
def test_when_an_instance_is_stored_then_it_is_loaded_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, name: str, payload: str
) -> None:
    folder = tmp_path_factory.mktemp("durable")
    instance = Instance.create(pb.CreateInstanceRequest(name=name, input={"value": payload}))
    turn = list(instance.inbox)
    instance.advance(
        [pb.HistoryEvent(orchestratorStarted={}), *turn], pb.OrchestratorResponse(actions=[call_activity(1)])
    )
    instance.receive(pb.HistoryEvent(eventRaised={"name": name}))
    store = Store(folder)
    store.save(instance)
    store.close()
    reopened = Store(folder)
    (loaded,) = reopened.load()
    reopened.close()
    assert (loaded.state, loaded.history, loaded.inbox) == (instance.state, instance.history, instance.inbox)
    assert list(loaded.open_activities()) == [1]
