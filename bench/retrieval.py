"""Grounding: whether the right passage is found, beside BM25; how fast documents come in; how long a search takes.

``python -m bench.retrieval`` fills a collection of a fresh local stack through its API, with a real embedding model of
this machine. The documents are Python's own: what the docstrings of its standard library say after their first
sentence, a file a module. The questions are those first sentences, and the passage to be found is what followed. BM25
(``rank-bm25``) gets the same chunks. Searches are timed on the Cosmos DB stand-in, which compares with every vector as
a ``quantizedFlat`` index does not: they say what the product does about them, not what Azure takes.
"""

import asyncio
import importlib
import inspect
import io
import os
import platform
import re
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import aiohttp
import numpy as np
from azure.identity.aio import ManagedIdentityCredential
from rank_bm25 import BM25Okapi
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from local.resources import DATABASE, EMBEDDING_DIMENSIONS
from local.stack import Stack
from routing import chunk_index, library
from routing.chunk_index import Piece
from services.clock import uuid7
from services.documents import Items, Store, cosmos_client

# fmt: off
MODULES = (
    "argparse", "ast", "asyncio", "base64", "bisect", "calendar", "cmd", "codecs", "collections", "configparser",
    "contextlib", "copy", "csv", "ctypes", "datetime", "dbm", "decimal", "difflib", "dis", "doctest",
    "email.message", "enum", "fileinput", "fractions", "ftplib", "functools", "getopt", "gettext", "glob", "gzip",
    "hashlib", "heapq", "hmac", "html", "http.client", "http.cookies", "imaplib", "importlib", "inspect", "io",
    "ipaddress", "itertools", "json", "locale", "logging", "lzma", "mailbox", "math", "mimetypes", "mmap",
    "multiprocessing", "netrc", "operator", "os", "os.path", "pathlib", "pdb", "pickle", "pickletools", "pkgutil",
    "platform", "plistlib", "poplib", "pprint", "profile", "queue", "random", "re", "sched", "secrets", "select",
    "selectors", "shelve", "shlex", "shutil", "signal", "smtplib", "socket", "socketserver", "sqlite3", "ssl",
    "stat", "statistics", "string", "struct", "subprocess", "symtable", "sysconfig", "tarfile", "tempfile",
    "textwrap", "threading", "timeit", "tokenize", "trace", "traceback", "turtle", "types", "typing", "unicodedata",
    "unittest", "urllib.parse", "urllib.request", "uuid", "warnings", "wave", "weakref", "webbrowser",
    "xml.dom.minidom", "xml.etree.ElementTree", "xmlrpc.client", "zipfile", "zipimport", "zlib", "zoneinfo",
)
# fmt: on
LEAST_CHARACTERS = 200
"""Of what follows a first sentence: less says too little to be found."""
COLLECTION = "python"
FOUND = 5
RANKED = 10
PAGES = 500
SEARCHES = 40
SIZES = (1_000, 10_000)
LIMIT_SECONDS = 900.0


class Item(NamedTuple):
    """Something that is documented."""

    module: str
    name: str
    question: str
    answer: str


class Quality(NamedTuple):
    recall: float
    reciprocal_rank: float


def items() -> Iterator[Item]:
    """What the standard library documents, each docstring once."""
    seen = set()
    for module_name in MODULES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = importlib.import_module(module_name)
        for name, thing in _documented(module_name, module):
            text = inspect.cleandoc(thing)
            first, _, rest = text.partition("\n\n")
            first, rest = " ".join(first.split()), rest.strip()
            if len(rest) >= LEAST_CHARACTERS and len(first) >= 20 and text not in seen:
                seen.add(text)
                yield Item(module_name, name, first, rest)


def _documented(prefix: str, holder: object) -> Iterator[tuple[str, str]]:
    for name, member in vars(holder).items():
        if name.startswith("_") or not (inspect.isclass(member) or inspect.isroutine(member)):
            continue
        if isinstance(text := getattr(member, "__doc__", None), str):
            yield f"{prefix}.{name}", text
        if inspect.isclass(member) and not inspect.isclass(holder):
            yield from _documented(f"{prefix}.{name}", member)


def files(documented: Sequence[Item]) -> dict[str, bytes]:
    """By module, as Markdown: what follows the first sentence, under the name of what it is about."""
    texts: dict[str, list[str]] = {}
    for each in documented:
        texts.setdefault(each.module, []).append(f"## {each.name}\n\n{each.answer}\n")
    return {module: "\n".join(sections).encode() for module, sections in texts.items()}


def pdf(pages: int) -> bytes:
    """Forty lines a page."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4)
    for page in range(pages):
        for line in range(40):
            canvas.drawString(72, 780 - line * 18, f"Line {line} of page {page} says something of case {page * line}.")
        canvas.showPage()
    canvas.save()
    return out.getvalue()


class Library:
    """The collection, filled through the API as its publisher does."""

    def __init__(self, stack: Stack, http: aiohttp.ClientSession, store: Store) -> None:
        self._headers = {"Authorization": f"Bearer {stack.token('paula')}"}
        self._url = f"{stack.http[0].url}/api/collections"
        self._models = stack.standins["models"].url
        self._http = http
        self.store = store

    async def open(self, collection: str) -> None:
        settings = {"name": collection, "owner_team": "sales", "embeddings": "embeddings", "audience": "everyone"}
        chunking = {"size": 700, "overlap": 100}  # the model reads the first 256 tokens of a text
        document = {"kind": "collection", "id": collection, "v": 1, **settings, "chunking": chunking}
        await self.store.config.create(document)

    async def put(self, collection: str, uploads: dict[str, bytes]) -> float:
        """Seconds from the first upload until the last is ready."""
        began = time.perf_counter()
        ids = []
        for name, content in uploads.items():
            form = aiohttp.FormData()
            form.add_field("name", name)
            form.add_field("file", io.BytesIO(content), filename=name)
            url = f"{self._url}/{collection}/documents"
            async with self._http.post(url, data=form, headers=self._headers) as answer:
                ids.append((await answer.json())["id"])
        async with asyncio.timeout(LIMIT_SECONDS):
            while left := [each for each in await library.list_documents(self.store.chunks, collection) if _open(each)]:
                await asyncio.sleep(0.2 if len(left) < 10 else 1)
        assert len(ids) == len(uploads)
        return time.perf_counter() - began

    async def vectors(self, texts: Sequence[str]) -> list[list[float]]:
        made: list[list[float]] = []
        for start in range(0, len(texts), 32):
            asked = {"model": "any", "input": texts[start : start + 32], "encoding_format": "float"}
            url, headers = f"{self._models}/v1/embeddings", {"Authorization": "Bearer any"}
            async with self._http.post(url, json=asked, headers=headers) as answer:
                made += [each["embedding"] for each in (await answer.json())["data"]]
        return made


def _open(document: library.LibraryDocument) -> bool:
    assert document.state != "failed", document.reason
    return document.state != "ready"


def quality(ranked: Sequence[Sequence[str]], wanted: Sequence[str]) -> Quality:
    """``ranked`` are the names of what each question found, the best first."""
    ranks = [names.index(name) + 1 if name in names else None for names, name in zip(ranked, wanted, strict=True)]
    return Quality(
        recall=statistics.mean(rank is not None and rank <= FOUND for rank in ranks),
        reciprocal_rank=statistics.mean(1 / rank if rank else 0 for rank in ranks),
    )


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.casefold())


async def found_by_vectors(
    place: Library, model: str, questions: Sequence[str], names: Collection[str]
) -> list[list[str]]:
    found = []
    for vector in await place.vectors(questions):
        passages = await chunk_index.search(
            place.store.chunks, COLLECTION, groups=[], model=model, vector=vector, most=2 * RANKED
        )
        found.append(_named(names, [passage.headings for passage in passages]))
    return found


async def found_by_words(chunks: Items, questions: Sequence[str], names: Collection[str]) -> list[list[str]]:
    query = "SELECT c.text, c.headings FROM c WHERE c.type = 'chunk'"
    kept = [each async for each in chunks.query(query, partition=COLLECTION)]
    bm25 = BM25Okapi([words(each["text"]) for each in kept])
    found = []
    for question in questions:
        best = np.argsort(bm25.get_scores(words(question)))[::-1][: 2 * RANKED]
        found.append(_named(names, [kept[index]["headings"] for index in best]))
    return found


def _named(names: Collection[str], found: Sequence[Sequence[str]]) -> list[str]:
    """What the passages are about, each once: the heading that is one of ours."""
    about = (each for headings in found for each in reversed(headings) if each in names)
    return list(dict.fromkeys(about))[:RANKED]


async def search_times(chunks: Items, size: int) -> list[float]:
    """Seconds of each search, sorted, among so many chunks of vectors at random."""
    collection, version = f"random-{size}", uuid7()
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(size, EMBEDDING_DIMENSIONS)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    document = {"type": "document", "id": uuid7(), "collection": collection, "state": "ready", "name": "random"}
    await chunks.create({**document, "version": version, "model": "any", "v": 1})
    for start in range(0, size, chunk_index.BATCH):
        writes = []
        for position in range(start, min(start + chunk_index.BATCH, size)):
            piece = Piece(text=f"Chunk {position}. " * 40, headings=["Random"])
            kept = {"id": chunk_index.chunk_id(version, position), "collection": collection, "type": "chunk"}
            about = {"document": document["id"], "version": version, "position": position, **piece.model_dump()}
            writes.append(("upsert", ({**kept, **about, "vector": vectors[position].round(6).tolist()},)))
        await chunks.batch(collection, writes)
    took = []
    for vector in rng.normal(size=(SEARCHES, EMBEDDING_DIMENSIONS)):
        began = time.perf_counter()
        await chunk_index.search(chunks, collection, groups=[], model="any", vector=vector.tolist(), most=12)
        took.append(time.perf_counter() - began)
    return sorted(took)


async def measure(folder: Path) -> list[str]:
    documented = list(items())
    lines = []
    async with (
        Stack(folder, options={"models": ["--real-embeddings"]}) as stack,
        aiohttp.ClientSession(raise_for_status=True) as http,
    ):
        entra = stack.standins["entra"].ready
        os.environ["IDENTITY_ENDPOINT"] = entra["identity_endpoint"]
        os.environ["IDENTITY_HEADER"] = entra["identity_header"]
        os.environ["SSL_CERT_FILE"] = str(stack.certificate_authority)
        async with (
            ManagedIdentityCredential() as identity,
            cosmos_client(stack.standins["cosmos"].url, identity) as cosmos,
        ):
            place = Library(stack, http, Store(cosmos, DATABASE))
            await place.open(COLLECTION)
            uploads = files(documented)
            seconds = await place.put(COLLECTION, uploads)
            indexed = await library.list_documents(place.store.chunks, COLLECTION)
            chunks, model = sum(each.chunks for each in indexed), str(indexed[0].model)
            lines.append(f"  {len(uploads)} Markdown files, {chunks:,} chunks  {chunks / seconds:>8.1f} chunks/s")
            await place.open("pages")
            seconds = await place.put("pages", {"pages.pdf": pdf(PAGES)})
            (one,) = await library.list_documents(place.store.chunks, "pages")
            paged = f"  a PDF of {PAGES} pages, {one.chunks:,} chunks"
            lines.append(f"{paged}  {PAGES / seconds:>8.1f} pages/s, {one.chunks / seconds:.1f} chunks/s")
            questions, wanted = [each.question for each in documented], [each.name for each in documented]
            names = set(wanted)
            by_vectors = quality(await found_by_vectors(place, model, questions, names), wanted)
            by_words = quality(await found_by_words(place.store.chunks, questions, names), wanted)
            lines.append(f"\n  {len(questions):,} questions{'':24}{f'recall@{FOUND}':>10}{f'MRR@{RANKED}':>10}")
            for name, of in ((f"the index, by {model}", by_vectors), ("BM25 over the same chunks", by_words)):
                lines.append(f"  {name:<40}{of.recall:>10.3f}{of.reciprocal_rank:>10.3f}")
            lines.append(f"\n  a search among{'':26}{'p50 ms':>10}{'p95 ms':>10}")
            for size in SIZES:
                took = await search_times(place.store.chunks, size)
                p50, p95 = (took[int(len(took) * share)] * 1000 for share in (0.5, 0.95))
                lines.append(f"  {f'{size:,} chunks':<40}{p50:>10.0f}{p95:>10.0f}")
    return lines


def main() -> None:
    machine = f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    with tempfile.TemporaryDirectory() as folder:
        lines = asyncio.run(measure(Path(folder)))
    sys.stdout.write("\n".join([f"Grounding ({machine}; the stand-ins and the model share them):", "", *lines]) + "\n")


if __name__ == "__main__":
    main()
