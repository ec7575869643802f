"""How somebody talks with an assistant."""

from typing import Any

from tests.e2e.asking import Asking, Reply

NEW = "new"


class Talk:
    """One conversation of somebody."""

    def __init__(self, asking: Asking, person: str = "alice", assistant: str = "sales-helper") -> None:
        self.asking = asking
        self.person = person
        self.assistant = assistant
        self.id = NEW

    async def call(self, method: str, path: str, **options: Any) -> Reply:
        token = options.pop("token", None) or self.asking.stack.token(self.person)
        return await self.asking.call(method, path, token=token, **options)

    async def post(self, prompt: str, **options: Any) -> Reply:
        body = {"prompt": prompt, "conversation": self.id, **options.pop("more", {})}
        return await self.call("POST", f"/api/assistants/{self.assistant}/requests", json=body, **options)

    async def say(self, prompt: str, **options: Any) -> Any:
        reply = await self.post(prompt, **options)
        if reply.status == 202:
            reply = await self.asking.ended(reply.body["request_id"])
        assert reply.status == 200, reply.text
        self.id = reply.body["conversation_id"]
        return reply.body

    async def read(self, query: str = "") -> Reply:
        return await self.call("GET", f"/api/conversations/{self.id}{query}")

    async def told_the_model(self) -> list[dict[str, str]]:
        """The messages of the latest call of a model."""
        calls = await self.asking.stack.control("models").call("GET", "/control/requests")
        messages: list[dict[str, str]] = calls[-1]["messages"]
        return messages
