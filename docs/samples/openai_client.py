"""OpenAI's own SDK with a governed assistant: the address and the key are all that changes.

``BASE_URL=https://<app>.azurewebsites.net/api/openai/v1 TOKEN=<Entra access token> python openai_client.py``
"""

import asyncio
import os
import sys

from openai import AsyncOpenAI, OpenAI

BASE_URL, TOKEN = os.environ["BASE_URL"], os.environ["TOKEN"]
ASSISTANT = os.environ.get("ASSISTANT", "sales-helper")
QUESTION = "What makes a good offer?"


def plain() -> str:
    with OpenAI(base_url=BASE_URL, api_key=TOKEN) as client:
        answer = client.chat.completions.create(model=ASSISTANT, messages=[{"role": "user", "content": QUESTION}])
    return answer.choices[0].message.content or ""


async def streamed() -> str:
    text = ""
    async with AsyncOpenAI(base_url=BASE_URL, api_key=TOKEN) as client:
        chunks = await client.chat.completions.create(
            model=ASSISTANT,
            messages=[{"role": "user", "content": QUESTION}],
            stream=True,
            stream_options={"include_usage": True},
        )
        async for chunk in chunks:
            for choice in chunk.choices:
                text += choice.delta.content or ""
    return text


if __name__ == "__main__":
    sys.stdout.write(f"plain:    {plain()}\nstreamed: {asyncio.run(streamed())}\n")
