"""Stand-in for the Durable Task Scheduler: orchestrations, their history, and the work that they make.

It serves ``TaskHubSidecarService``, the gRPC protocol that ``azure-functions-durable`` 2.x (the ``rpcBaseUrl`` of the
durable client binding), ``durabletask`` workers and the Functions host of the local stack speak. There is one task
hub; the ``taskhub`` header is not looked at.

What it promises, as Azure does:

- **Work is done at least once.** A work item belongs to the stream it was handed to, until it is completed or
  abandoned. When the stream ends (the process was killed, the connection is lost, a frozen process leaves HTTP/2 pings
  unanswered for 30 s) everything it held goes to another stream, under a new completion token.
- **A result counts once.** A completion whose token is no longer valid is answered NOT_FOUND and changes nothing.
- **With ``--data`` nothing accepted is lost**, also on SIGKILL: instances are written before a call is answered. After
  a restart whatever had been handed out is handed out again, and timers are armed again.
- A stream holds at most as many orchestrations and activities as it asked for (0: no limit); the one that holds the
  least gets the next. Nothing is polled, and neither a waiting caller nor a pending timer costs a thread.

What ``start_new`` (``schedule_new_orchestration``) does. The client sends no reuse policy; the rule is the Functions
host's default, ``overridableExistingInstanceStates: NonRunningStates``
(https://learn.microsoft.com/azure/azure-functions/durable/durable-functions-bindings):

===================================  ======================================================================
no instance of that id               started
completed, failed or terminated      replaced: its history is gone, late results of its activities are refused
pending, running or suspended        ``grpc.aio.AioRpcError`` with code ALREADY_EXISTS; the instance is untouched
===================================  ======================================================================

A client may send a ``reuse_id_policy``: then only the finished states that it lists are replaced. ``terminate``,
``suspend`` and ``resume`` take effect when a worker has run the orchestrator with the event. They and ``raise_event``
fail with NOT_FOUND for an unknown instance and FAILED_PRECONDITION for a finished one. Who waits for an unknown
instance waits until it is started and gets there, or until the caller's deadline.

Operations (counts and faults): ``start``, ``get``, ``wait``, ``raise-event``, ``terminate``, ``suspend``, ``resume``,
``purge``, ``query``, ``history``, ``complete-turn``, ``complete-activity``, ``abandon``: ``status`` and ``drop`` answer
UNAVAILABLE before anything was done, ``delay`` answers late. ``orchestrator-turn`` and ``activity <name>`` count each
time a work item is handed out: ``drop`` cuts the stream that would get it, ``delay`` hands it out late. Only counted:
``stream`` (opened), ``history-event`` (written to a history), ``late-completion`` (refused).

What it adds to the control port:

===================================  ======================================================================
GET /control/instances               ``[{"id", "name", "status"}]``
GET /control/history/{instance_id}   ``[{"kind", "id", "timestamp", "bytes"}]``, oldest first; ``bytes`` is the size
                                     of the stored event with its payload. What waits for the next turn comes last
===================================  ======================================================================

Refused with UNIMPLEMENTED: entities, rewind, restart, listing and exporting ids, work item filters, scheduled
starts, policies that replace a running instance. An orchestrator that asks for a sub-orchestration, continues as new,
or sends an event fails, with failure details that say so.

Decision: this is a small backend of its own on ``grpc.aio``, not a subclass of durabletask's in-memory one. That one
forgets work when it hands it out, takes any activity result whatever its token, polls every 100 ms, and spends a
thread on every stream, waiter and timer; hardly a method of it would have stayed. The protocol's generated code is
durabletask's.
"""
