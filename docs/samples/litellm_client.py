"""LiteLLM's Python client with a governed assistant: an address, a key, and ``openai/`` before the assistant's id.

``BASE_URL=https://<app>.azurewebsites.net/api/openai/v1 TOKEN=<Entra access token> python litellm_client.py``
"""

import os
import sys

import litellm  # type: ignore[import-not-found]

TO = {"api_base": os.environ["BASE_URL"], "api_key": os.environ["TOKEN"], "num_retries": 0}
MODEL = f"openai/{os.environ.get('ASSISTANT', 'sales-helper')}"
QUESTION = [{"role": "user", "content": "What makes a good offer?"}]


def plain() -> str:
    return str(litellm.completion(MODEL, QUESTION, **TO).choices[0].message.content)


def streamed() -> str:
    chunks = litellm.completion(MODEL, QUESTION, stream=True, **TO)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


if __name__ == "__main__":
    sys.stdout.write(f"plain:    {plain()}\nstreamed: {streamed()}\n")
