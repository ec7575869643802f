"""Azure Service Bus, queues only, as the SDKs see it: AMQP 1.0 over plain TCP.

Operations, as the control port counts them and faults match them (Q is a queue's name; a dead-letter queue is
``Q/$deadletterqueue``):

========================================  =============================================================================
``connect``                               a connection is opened
``send Q``                                messages; a batch counts each, and meets one fault
``schedule Q``, ``cancel-scheduled Q``    messages
``accept-session Q``                      a session is asked for, by id or the next
``deliver Q``                             a message goes out to a receiver
``complete Q``, ``abandon Q``             a message is settled
``dead-letter Q``
``release Q``                             a client gives back what it never looked at
``renew-lock Q``, ``renew-session-lock``  a lock is renewed (``renew-session-lock Q``)
``peek Q``                                a request to peek
========================================  =============================================================================

Faults: ``status`` refuses the operation, which is not done (429 and 503: ``com.microsoft:server-busy``, which the SDK
retries; 507: ``amqp:resource-limit-exceeded``, a full queue, which it doesn't; else ``amqp:internal-error``). ``drop``
does the operation and closes the connection before the answer leaves. ``delay`` does it, and holds back all that this
connection is sent for the time. ``lock-lost`` (settling and renewing) ends the lock first, as time would: the client
hears ``message-lock-lost`` or ``session-lock-lost``, and the message is available again.

``GET /control/queues`` on the control port: ``{"Q": {"active": n, "scheduled": n, "locked": n, "dead_lettered": n}}``.

Not there, and refused with ``amqp:not-implemented``: topics, receive and delete, defer, session state, transactions,
partition keys, sending via another entity, filters other than the session's, tokens other than shared access
signatures. Not there at all: TLS, WebSockets, the administration API. A token's expiry is checked when it is shown.
"""
