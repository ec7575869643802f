"""What one worker process holds for its stages, besides the platform: the governor, with its one switch watcher."""

from governance.switches import SwitchWatcher
from routing.governed_call import Governor
from services.platform import Platform

_governor: Governor | None = None


def governor(platform: Platform) -> Governor:
    global _governor
    if _governor is None:
        store = platform.store
        _governor = Governor(
            store.control, store.budgets, SwitchWatcher(store.control), platform.settings.model_timeout_seconds
        )
    return _governor
