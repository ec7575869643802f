"""Stand-in for a Log Analytics workspace: the Logs Ingestion API in, the Logs Query API (KQL) out, over TLS.

Only what these two offer to an app: rows are added and asked for, never changed or deleted. What the real ones do
quietly is done here too, but counted, so that a test can insist that it never happened:

=======================  ==================================================================================
``columns-undeclared``   values dropped because the stream does not declare their column (logged by column)
``values-mistyped``      values that are not of their column's type and became null (logged by column)
``values-truncated``     values cut at 64 KB (logged by column)
``times-replaced``       rows whose ``TimeGenerated`` was over two days old, or over a day ahead: set to now
``rows <table>``         rows stored
=======================  ==================================================================================

Operations (counts and faults): ``upload <stream>``, ``query``. Faults: ``status`` (an upload is not stored then),
``drop`` (an upload *is* stored, only its answer is lost: what a sender's retries must cope with), ``delay`` (a query
counts as running meanwhile). Only counted: ``refused``, a request that is none of the operations.

What it adds to the control port: ``PUT /control/delay {"seconds": n}``, how long after its upload a row becomes visible
to queries; minutes are normal in Azure. Rows uploaded before keep the delay that they came with.
``PUT /control/poison`` has a list of texts: an upload that has one of them is answered 400, and not stored.

Sources: https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview,
https://learn.microsoft.com/azure/azure-monitor/logs/api/overview,
https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits.
"""
