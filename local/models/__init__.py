"""Stand-in for the model providers, over plain HTTP: OpenAI's chat completions and embeddings, the same as Azure OpenAI
has them (``/openai/v1/``, v1), and Anthropic's messages.

Its answers are scripted: the same question gets the same answer and the same usage; a script can also refuse, or cut
an answer short. With ``--real`` a small language model (SmolLM2-135M-Instruct) answers instead, in OpenAI's shape only.
Its embeddings are made of a text's words, or with ``--real-embeddings`` by a small model (all-MiniLM-L6-v2); both have
384 dimensions.

Operations (counts and faults): ``chat``, ``chat-stream``, ``embeddings``, ``azure-chat``, ``azure-chat-stream``,
``azure-embeddings``, ``messages``, ``messages-stream``, ``models``. Only counted:
``<operation>:cancelled``, calls whose client went away before it had its answer, and ``in-flight-max``, the most
calls at once. Faults: ``status`` (with a Retry-After for 429 and 503), ``delay`` (before the first byte), ``drop``
(of a stream: in its middle).

A model call must carry some credential; which one is not checked, but for the tokens of Azure's API, where the
stand-in knows whose they must be (``--authority``).

What it adds to the control port:

==============================  =============================================================================
GET /control/requests           the bodies of the model calls so far, as received: a JSON array
POST /control/requests/reset    forget them
PUT /control/script             replace the script: a JSON array of :class:`~local.models.scripted.Line` (not
                                with ``--real``)
==============================  =============================================================================
"""
