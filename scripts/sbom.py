"""``python -m scripts.sbom FILE``: what Azure installs, and what that pulls in, as a CycloneDX 1.6 bill of materials.

It is read from this environment, where everything is installed as it is pinned.
"""

import re
import sys
from importlib.metadata import Distribution, distribution
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from services.version import VERSION

ROOT = Path(__file__).resolve().parent.parent


def pinned(file: str) -> list[Requirement]:
    """What a requirements file asks for."""
    text = (ROOT / file).read_text().replace("\\\n", " ")
    lines = [line.partition(" --hash")[0].strip() for line in text.splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def bill() -> Bom:
    """Each package once, with what it asks for."""
    bom, made = Bom(), dict[str, Component]()
    product = Component(
        name="governed-assistants",
        version=VERSION,
        type=ComponentType.APPLICATION,
        bom_ref="governed-assistants",
        licenses=[LicenseFactory().make_from_string("MIT")],
    )
    bom.metadata.component = product
    bom.register_dependency(product, [_add(bom, made, each) for each in pinned("requirements.txt")])
    return bom


def _add(bom: Bom, made: dict[str, Component], wanted: Requirement) -> Component:
    name = canonicalize_name(wanted.name)
    if name not in made:
        found = distribution(name)
        component = made[name] = _component(name, found)
        bom.components.add(component)
        extras = [{"extra": extra} for extra in ("", *wanted.extras)]
        needs = [Requirement(each) for each in found.requires or ()]
        used = [each for each in needs if each.marker is None or any(map(each.marker.evaluate, extras))]
        bom.register_dependency(component, [_add(bom, made, each) for each in used])
    return made[name]


def _component(name: str, found: Distribution) -> Component:
    purl = PackageURL("pypi", None, name, found.version)
    licence = _licence(found)
    return Component(
        name=name,
        version=found.version,
        purl=purl,
        bom_ref=str(purl),
        licenses=[LicenseFactory().make_from_string(licence)] if licence else [],
    )


def _licence(found: Distribution) -> str:
    """As the package declares it: an SPDX expression, a name, or the classifiers' last words."""
    told = found.metadata
    declared = told.get("License-Expression") or (told.get("License") or "").strip()
    if declared and len(declared) < 80 and "\n" not in declared:
        return str(declared)
    classifiers = [each for each in told.get_all("Classifier") or () if each.startswith("License ::")]
    return ", ".join(re.split(r" :: ", each)[-1] for each in classifiers)


def written() -> str:
    return JsonV1Dot6(bill()).output_as_string(indent=2) + "\n"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(written())
    print(f"Wrote {target}")
