"""The Functions host on one machine: loads a ``function_app.py`` and drives it as Azure Functions does.

The app is imported, indexed and invoked by Microsoft's own Python worker library (``azure-functions-runtime``), so a
wrong annotation or binding fails here as it would in Azure. This package is the other half, which in Azure is a .NET
program: it serves HTTP, pumps Service Bus messages, fires timers and hands on Durable work items.

As on Flex Consumption, HTTP functions, Durable functions and queue or timer functions run in separate processes
(``--group http|durable|queues``), each of them as often as one likes. App settings are environment variables.

Operation names, for counts and faults:

=====================  ===========================================================================================
``<function>``         an invocation of this function, just before it; for an orchestrator, each of its replays
``<function>:done``    it returned without an exception, and nothing is yet answered, settled or reported (faults only)
``<function>:failed``  it raised (counts only)
=====================  ===========================================================================================

Faults: ``drop`` kills the host process with SIGKILL at that point, ``delay`` waits there, ``status`` makes the
invocation fail as if the function had raised. The queues group also answers ``POST /control/run/<function>`` on its
control port: it fires a timer function now and answers 204 when it has finished, 500 if it raised.

Refused when the app is loaded: bindings other than HTTP, Service Bus queue and timer triggers, orchestrators,
activities and Durable clients; HTTP without streaming; function keys; route constraints; sessions; retry policies;
settings in host.json that would change behaviour and are not served here.
"""
