"""``python -m scripts.openapi``: writes docs/openapi.json, the HTTP API as the operations declare it."""

import json
from pathlib import Path

import function_app  # noqa: F401 - importing it declares every operation
from api.openapi import document

FILE = Path(__file__).resolve().parent.parent / "docs" / "openapi.json"


def written() -> str:
    """What the file is to say."""
    return json.dumps(document(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(written())
    print(f"Wrote {FILE.name}: {len(document()['paths'])} paths")
