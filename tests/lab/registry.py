"""Pushing an image made of plain tar files to a registry, without a Docker daemon."""

from __future__ import annotations

import hashlib
import http.client
import json
import platform
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from system import LabError

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_BUILD_LABEL = "org.ascend-ops.lab.build"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_CHUNK = 1 << 20
_GZIP = 31  # zlib's window size that means a gzip header


@dataclass(frozen=True)
class Repository:
    """One repository of a plain HTTP registry."""

    registry: str
    name: str

    def build_of(self, tag: str) -> str | None:
        """Which build the tag was pushed from; None when there is no such tag, or it was pushed by someone else."""
        status, _headers, body = self._call("GET", f"manifests/{tag}", headers={"Accept": _MANIFEST})
        if status != http.client.OK:
            return None
        configuration = json.loads(
            self._expect(http.client.OK, "GET", f"blobs/{json.loads(body)['config']['digest']}")[1]
        )
        return (configuration["config"].get("Labels") or {}).get(_BUILD_LABEL)

    def push(self, tag: str, layers: list[Path], settings: dict, build: str) -> None:
        """Push an image of these layers (tar files, lowest first); `settings` is its Env, Cmd, WorkingDir and so on."""
        with ThreadPoolExecutor() as pool:
            pushed = list(pool.map(self._push_layer, layers))
        configuration = {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {**settings, "Labels": {_BUILD_LABEL: build}},
            "rootfs": {"type": "layers", "diff_ids": [diff_id for diff_id, _descriptor in pushed]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": self._push_blob([json.dumps(configuration).encode()], _CONFIG),
            "layers": [descriptor for _diff_id, descriptor in pushed],
        }
        self._expect(
            http.client.CREATED,
            "PUT",
            f"manifests/{tag}",
            json.dumps(manifest).encode(),
            {"Content-Type": _MANIFEST},
        )

    def _push_layer(self, tar: Path) -> tuple[str, dict]:
        """Compress and push on the fly; returns the hash of the tar file and the blob's descriptor."""
        plain = hashlib.sha256()
        descriptor = self._push_blob(_compressed(tar, plain), _LAYER)
        return f"sha256:{plain.hexdigest()}", descriptor

    def _push_blob(self, chunks: Iterable[bytes], media_type: str) -> dict:
        digest, size = hashlib.sha256(), 0

        def counted() -> Iterator[bytes]:
            nonlocal size
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                yield chunk

        location = self._expect(http.client.ACCEPTED, "POST", "blobs/uploads/")[0]["Location"]
        location = self._expect(
            http.client.ACCEPTED, "PATCH", location, counted(), {"Content-Type": "application/octet-stream"}
        )[0]["Location"]
        name = f"sha256:{digest.hexdigest()}"
        self._expect(http.client.CREATED, "PUT", f"{location}&digest={name}")
        return {"mediaType": media_type, "size": size, "digest": name}

    def _expect(
        self, expected: int, method: str, path: str, body=None, headers: dict | None = None
    ) -> tuple[http.client.HTTPMessage, bytes]:
        status, answer, content = self._call(method, path, body, headers)
        if status != expected:
            raise LabError(
                f"the registry {self.registry} answered {method} {path} with {status}, expected {expected}: {content.decode(errors='replace').strip()}"
            )
        return answer, content

    def _call(
        self, method: str, path: str, body=None, headers: dict | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection(self.registry, timeout=60)
        try:
            url = path if path.startswith("http://") else f"/v2/{self.name}/{path}"
            connection.request(method, url, body, headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()


def _compressed(tar: Path, plain) -> Iterator[bytes]:
    """The tar file's bytes compressed, its own hash taken in passing; low compression, for it is unpacked at once next door."""
    squeeze = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    with tar.open("rb") as source:
        while chunk := source.read(_CHUNK):
            plain.update(chunk)
            yield squeeze.compress(chunk)
    yield squeeze.flush()
