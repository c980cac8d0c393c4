"""A certificate authority of our own, as companies have one, and a certificate by it."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
_AUTHORITY = ["keyUsage=critical,keyCertSign,cRLSign"]
_SERVER = """\
basicConstraints=CA:FALSE
keyUsage=digitalSignature
extendedKeyUsage=serverAuth
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
subjectAltName={names}
"""


@dataclass(frozen=True)
class Authority:
    """The files of an authority in a folder, and of one certificate that it issued."""

    folder: Path

    @property
    def certificate(self) -> Path:
        """What clients have to trust."""
        return self.folder / "ca.pem"

    @property
    def issued(self) -> Path:
        """The certificate of a server."""
        return self.folder / "server.pem"

    @property
    def key(self) -> Path:
        """Its key."""
        return self.folder / "server.key"

    def issue(self, addresses: Sequence[str]) -> None:
        """Create the authority, and a certificate for these IP addresses; once."""
        if self.issued.exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        authority = ["-x509", *_KEY, "-days", "3650", "-subj", "/CN=Lab CA", "-addext", *_AUTHORITY]
        self._openssl("req", *authority, "-keyout", "ca.key", "-out", "ca.pem")
        self._openssl(
            "req", "-new", *_KEY, "-subj", "/CN=Lab hub", "-keyout", "server.key", "-out", "server.csr"
        )
        names = ",".join(f"IP:{address}" for address in addresses)
        (self.folder / "server.ext").write_text(_SERVER.format(names=names), encoding="ascii")
        issuer = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]
        certificate = ["-days", "3650", "-extfile", "server.ext", "-out", "server.pem"]
        self._openssl("x509", "-req", "-in", "server.csr", *issuer, *certificate)

    def context(self) -> ssl.SSLContext:
        """Return what a server needs to show the certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.issued, self.key)
        return context

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)
