"""The file of the model for names: written by `scripts/train_ner.py`, read only when it is the one that was reviewed.

A numpy archive of plain numbers, without pickled objects. The vectors are stored as bytes,
with a scale for each column.
"""

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np

from guardrails.errors import GuardrailFailed
from guardrails.ner import Floats, Model, Parameters

FILE = Path(__file__).with_name("ner_model.npz")
SHA256 = "1d5f2405b4e75089cc33195f303cd561e035fca321a7bdb0d9a806aa150907b0"


def load(file: Path = FILE) -> Model:
    """The model. Raises GuardrailFailed unless the file is the pinned one, byte for byte."""
    try:
        content = file.read_bytes()
    except OSError:
        raise GuardrailFailed("the model for names is missing") from None
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise GuardrailFailed("the model for names is not the one that was reviewed")
    return Model(parameters(content))


def parameters(content: bytes) -> Parameters:
    """What such a file holds."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        pairs: list[tuple[Floats, Floats]] = []
        while f"weights{len(pairs)}" in arrays:
            number = len(pairs)
            pairs.append((_floats(arrays[f"weights{number}"]), _floats(arrays[f"bias{number}"])))
        vectors = _floats(arrays["vectors"]) * arrays["scale"]
        return Parameters(arrays["words"], vectors, tuple(pairs[:-1]), pairs[-1])


def save(made: Parameters, file: Path) -> None:
    """Writes the file; the same bytes for the same parameters."""
    scale = np.abs(made.vectors).max(axis=0) / 127
    arrays = {"words": made.words, "vectors": np.rint(made.vectors / scale).astype(np.int8), "scale": scale}
    for number, (weights, bias) in enumerate([*made.layers, made.output]):
        arrays |= {f"weights{number}": weights.astype(np.float16), f"bias{number}": bias}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue(), zipfile.ZIP_DEFLATED)


def _floats(array: "np.typing.NDArray[np.generic]") -> Floats:
    return array.astype(np.float32)
