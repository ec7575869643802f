"""A throw-away certificate authority for the clients that insist on TLS.

``issue(folder)`` writes ``ca.pem`` (to trust) and ``server.pem`` (key and chain for 127.0.0.1 and localhost) and
returns their paths. Processes that must trust it get ``SSL_CERT_FILE`` and ``REQUESTS_CA_BUNDLE`` set to ``ca.pem``.
"""

import ssl
from pathlib import Path
from typing import NamedTuple

import trustme


class Certificates(NamedTuple):
    ca: Path
    server: Path


def issue(folder: Path) -> Certificates:
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    certificates = Certificates(folder / "ca.pem", folder / "server.pem")
    authority.cert_pem.write_to_path(str(certificates.ca))
    server = authority.issue_cert("127.0.0.1", "localhost")
    server.private_key_and_cert_chain_pem.write_to_path(str(certificates.server))
    certificates.server.chmod(0o600)
    return certificates


def server_context(pem: Path | None) -> ssl.SSLContext | None:
    """The context to serve with, or None for plain HTTP."""
    if pem is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    return context
