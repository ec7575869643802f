"""Stand-in for Azure AI Content Safety: text analysis and Prompt Shields of api-version 2024-09-01, over TLS.

It understands nothing: it looks for words. Those of :data:`local.contentsafety.words.BUILT_IN` are enough for a
demonstration; the script at the control port adds others. How good the real service is, it can't tell.

A call needs a token for https://cognitiveservices.azure.com; keys are refused, as on a resource with local
authentication off. What is over the service's limits is refused as ``InvalidRequestBody``, and so is what the stand-in
does not serve: blocklists, eight levels of severity, nothing to look at. Of a text, nothing is kept or logged.

Operations (counts and faults): ``analyze``, ``shieldPrompt``. Faults: ``status`` (with a Retry-After), ``delay``,
``drop``. Only counted: ``refused``, a request that is none of the operations.

What it adds to the control port:

==================  ==============================================================================================
PUT /control/script replace the script: a JSON array of :class:`~local.contentsafety.words.Line`; ``[]`` clears it
==================  ==============================================================================================

Sources: https://learn.microsoft.com/rest/api/contentsafety/text-operations,
https://learn.microsoft.com/azure/ai-services/content-safety/overview#input-requirements,
https://learn.microsoft.com/azure/ai-services/content-safety/concepts/response-codes.
"""
