"""What is said of the queues is said of every one that is made."""

from local.resources import queues
from services.bus import QUEUES, WITH_SESSIONS


def test_when_a_queue_is_made_then_it_is_counted_and_its_dead_letters_can_be_brought_back() -> None:
    made = queues(60).queues
    assert made.keys() == set(QUEUES)
    assert {name for name, settings in made.items() if settings.sessions} == WITH_SESSIONS
