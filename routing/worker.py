"""What one worker process holds for its model calls: the governor, with its one switch watcher and its breaker."""

from governance.switches import SwitchWatcher
from routing.credentials import Credentials
from routing.governed_call import Governor
from services.platform import Platform

_governor: Governor | None = None


def governor(platform: Platform) -> Governor:
    global _governor
    if _governor is None:
        store, settings = platform.store, platform.settings
        _governor = Governor(
            config=store.config,
            control=store.control,
            budgets=store.budgets,
            watcher=SwitchWatcher(store.control),
            credentials=Credentials(settings.model_secrets, platform.model_token),
            model_timeout_seconds=settings.model_timeout_seconds,
        )
    return _governor
