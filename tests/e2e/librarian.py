"""How paula fills a collection of Sales, and how people ask an assistant that answers from it."""

import io
import re
import secrets
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from local.seed import published
from routing.library import LibraryDocument
from tests.e2e.asking import Asking, Reply
from tests.e2e.kit import eventually

type Json = dict[str, Any]

ENDED = ("ready", "failed")
INDEXING_SECONDS = 60.0
"""For what takes a second or two, on a machine that has much else to do."""


@dataclass
class Librarian:
    """A collection of its own, and an assistant over it."""

    asking: Asking
    id: str = field(default_factory=lambda: f"shelf-{secrets.token_hex(4)}")

    async def open(self, *, audience: object = "everyone", assistant: Json | None = None, **settings: Any) -> None:
        """The collection, for everyone unless said otherwise, and the assistant."""
        config = self.asking.kit.store.config
        collection = {
            **{"name": self.id, "owner_team": "sales", "embeddings": "embeddings", "audience": audience},
            **{"chunking": {"size": 700, "overlap": 100}, **settings},
        }
        await config.create({"kind": "collection", "id": self.id, "v": 1, **collection})
        about = {
            **{"name": self.id, "description": "Answers from its documents", "system_prompt": "You answer."},
            **{"route": "general", "temperature": 0, "max_output_tokens": 80, "audience": "everyone"},
            **{"owner_team": "sales", "policies": ["standard"], "residency": "any", "collections": [self.id]},
            **(assistant or {}),
        }
        for document in published(self.id, 1, about):
            await config.create(document)

    @property
    def path(self) -> str:
        return f"/api/collections/{self.id}/documents"

    async def call(self, method: str, path: str = "", *, person: str = "paula", **options: Any) -> Reply:
        token = self.asking.stack.token(person)
        return await self.asking.call(method, self.path + path, token=token, **options)

    async def upload(self, file: bytes | None, *, of: str | None = None, name: str = "file", **fields: str) -> Reply:
        """A file of that name, as a browser sends it; ``of`` the document that it is another version of."""
        form = aiohttp.FormData(default_to_multipart=True)
        for each, value in fields.items():
            form.add_field(each, value)
        if file is not None:
            form.add_field("file", io.BytesIO(file), filename=name, content_type="application/octet-stream")
        elif not fields:
            form.add_field("reason", "again")
        return await self.call("POST", f"/{of}/versions" if of else "", data=form)

    async def shown(self, document_id: str) -> Json:
        reply = await self.call("GET", f"/{document_id}")
        assert reply.status == 200, reply.text
        shown: Json = reply.body
        return shown

    async def ended(self, document_id: str) -> Json:
        """The document when it is ready or failed."""

        async def ended() -> Json:
            shown = await self.shown(document_id)
            assert shown["state"] in ENDED, shown
            return shown

        return await eventually(ended, within=INDEXING_SECONDS)

    async def indexed(self, file: bytes | None, *, of: str | None = None, **about: str) -> Json:
        """The document of a file when it is ready."""
        reply = await self.upload(file, of=of, **about)
        assert reply.status == 202, reply.text
        ended = await self.ended(reply.body["id"])
        assert ended["state"] == "ready", ended
        return ended

    async def refused(self, file: bytes) -> str:
        """Why the document of a file failed."""
        reply = await self.upload(file)
        assert reply.status == 202, reply.text
        ended = await self.ended(reply.body["id"])
        assert (ended["state"], ended["in_use"]) == ("failed", False), ended
        reason: str = ended["reason"]
        return reason

    async def ask(self, question: str, *, person: str = "alice") -> Reply:
        return await self.asking.ask(question, person=person, assistant=self.id)

    async def sources(self, question: str, *, person: str = "alice") -> list[Json]:
        """What the answer was grounded in."""
        reply = await self.ask(question, person=person)
        assert reply.status == 200, reply.text
        sources: list[Json] = reply.body["sources"]
        return sources

    async def shown_to_model(self) -> str:
        """The last user message of the call of a model for an answer that came last."""
        bodies = await self.asking.stack.control("models").call("GET", "/control/requests")
        asked = [body for body in bodies if "messages" in body]
        return str(asked[-1]["messages"][-1]["content"])

    async def stored(self, kind: str) -> list[Json]:
        """The documents, or the chunks, that the index has."""
        query = "SELECT * FROM c WHERE c.type = @kind"
        found = self.asking.kit.store.chunks.query(query, {"@kind": kind}, partition=self.id)
        return [each async for each in found]

    async def files(self) -> int:
        """How many files the collection has in Blob Storage."""
        held = await self.asking.stack.control("blobs").dump()
        return len(re.findall(rf"^documents/{self.id}/\S+\t", held, re.MULTILINE))

    async def document(self, document_id: str) -> LibraryDocument:
        found = await self.asking.kit.store.chunks.read(document_id, self.id)
        assert found is not None
        return LibraryDocument.model_validate(found)
