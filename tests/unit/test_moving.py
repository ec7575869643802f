"""What is exported and what is waited for keep up with what the product has."""

from azure.cosmos.aio import CosmosClient

from local.resources import DATABASE, containers, queues
from moving import folder
from moving.under_way import QUEUES
from services.bus import ESCALATIONS, FEEDBACK, REPLIES
from services.documents import Store

OTHERS = {
    REPLIES: "only wakes whoever waits",
    FEEDBACK: "for the customer's own receiver, who may never come",
    ESCALATIONS: "the same",
}


def test_when_the_product_has_a_queue_then_its_messages_are_waited_for_or_it_is_said_why_not() -> None:
    assert {*QUEUES, *OTHERS} == queues(30).queues.keys()


async def test_when_the_product_has_a_container_then_it_is_exported() -> None:
    store = Store(CosmosClient("https://account.example", "a2V5"), DATABASE)
    assert folder.containers(store).keys() == {each.id for each in containers().containers}
