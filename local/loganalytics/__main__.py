"""Run the Log Analytics stand-in: ``python -m local.loganalytics --tables FILE --tls PEM``.

The ready line has ``url`` (both the ingestion and the query endpoint), ``rule_id`` and ``workspace_id``. With
``--authority``, tokens are checked with its keys: where it serves them with a throw-away certificate, ``SSL_CERT_FILE``
must name that one's CA.
"""

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from local.loganalytics.schema import Rule
from local.loganalytics.server import LogAnalytics
from local.loganalytics.store import Store
from local.standin import Control, main, parser, serving
from local.tls import server_context


@asynccontextmanager
async def service(arguments: argparse.Namespace, control: Control) -> AsyncIterator[dict[str, Any]]:
    rule = Rule.model_validate_json(arguments.tables.read_bytes())
    store = Store(rule, arguments.data)
    try:
        log_analytics = LogAnalytics(rule, store, control, authority=arguments.authority, delay=arguments.delay)
        context = server_context(arguments.tls)
        async with serving(log_analytics.app(), port=arguments.port, ssl_context=context) as url:
            yield {"url": url, "rule_id": rule.rule_id, "workspace_id": str(rule.workspace_id)}
    finally:
        store.close()


options = parser("loganalytics", __doc__)
options.add_argument("--tables", type=Path, required=True, help="streams and tables, as JSON (see schema.py)")
options.add_argument("--tls", type=Path, required=True, help="key and certificate chain to serve with, as PEM")
options.add_argument("--authority", help="check tokens with the keys of this Entra tenant; without it, take any")
options.add_argument("--delay", type=float, default=0.0, help="seconds until an uploaded row is visible to queries")

if __name__ == "__main__":
    main(options, service)
