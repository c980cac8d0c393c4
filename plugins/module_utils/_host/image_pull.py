# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `docker pull` tells a terminal of its progress, added up over the layers.

Source: docker/cli, and moby/moby pkg/jsonmessage: one line for each layer, written again in its place at each change, such as
``5a09404e78bb: Downloading [=====>      ]  12.3MB/35.21MB``. The sizes are in powers of 1000, with four digits.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any, Mapping, NamedTuple

from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.commands import ESCAPE

LAYER = re.compile(r"([0-9a-f]{12}): (.+)")
BYTES = re.compile(r"(\d+(?:\.\d+)?) ?([kMGTP]?)B/(\d+(?:\.\d+)?) ?([kMGTP]?)B\s*$")
UNIT = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
UNPACKED = "Pull complete"
HERE = ("Verifying Checksum", "Download complete", "Extracting", UNPACKED)
NEEDLESS = "Already exists"
NO_LAYER = "Pulling from"  # the line's name is the tag, which may look like a layer's id
DOCKER_HUB = "https://index.docker.io/v1/"  # what Docker Hub is called among the credentials


class Layer(NamedTuple):
    """The last message about a layer. The size is None until Docker reports it."""

    status: str
    done: int
    size: int | None

    @property
    def is_here(self) -> bool:
        """Whether all bytes of the layer have arrived."""
        return self.status.startswith(HERE)

    def bytes_done(self, size: int, stage: str) -> int:
        """Return how many of the *size* bytes are done in a stage."""
        if self.status.startswith(HERE if stage == "pulled" else UNPACKED):
            return size
        return self.done if self.status.startswith(("Downloading", "Extracting")) else 0


class Pull:
    """One pull, by what the command has written so far. *sizes* of layers, by their short ids, may be known from the registry."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.sizes = sizes
        self.layers: dict[str, Layer] = {}
        self.other: list[str] = []  # lines about no layer: of them is the error
        self._rest = ""

    def take(self, text: str) -> None:
        """Take in what the command wrote next."""
        *lines, self._rest = re.split(r"[\r\n]+", self._rest + text)
        for line in lines:
            self._take_line(ESCAPE.sub("", line).strip())

    def end(self) -> None:
        """Take in the last line, which may have no end."""
        self.take("\n")

    def _take_line(self, line: str) -> None:
        found = LAYER.fullmatch(line)
        if not found or found.group(2).startswith(NO_LAYER):
            if line:
                self.other.append(line)
            return
        layer, status = found.groups()
        known = self.layers.get(layer, Layer("", 0, None))
        numbers = BYTES.search(status)
        done, size = (_bytes(*numbers.group(1, 2)), _bytes(*numbers.group(3, 4))) if numbers else (0, None)
        self.layers[layer] = Layer(status, done, known.size if size is None else size)

    def progress(self) -> dict[str, Any]:
        """Return the stage, the bytes done in it and all bytes, None where a size is not known yet, for module_utils.progress."""
        layers = {layer: state for layer, state in self.layers.items() if state.status != NEEDLESS}
        if not layers:
            return {}
        sizes = {
            # A layer that came without its size being written is a tiny one.
            layer: self.sizes.get(layer, 0 if state.size is None and state.is_here else state.size)
            for layer, state in layers.items()
        }
        stage = "unpacked" if all(state.is_here for state in layers.values()) else "pulled"
        done = sum(state.bytes_done(sizes[layer] or 0, stage) for layer, state in layers.items())
        known = [size for size in sizes.values() if size is not None]
        return {"stage": stage, "done": done, "all": sum(known) if len(known) == len(sizes) else None}

    def complete(self) -> int:
        """Return how many layers the host has."""
        return sum(
            layer.status == NEEDLESS or layer.status.startswith(UNPACKED) for layer in self.layers.values()
        )

    def complete_bytes(self) -> int:
        """Return how many bytes this pull has brought for good."""
        return sum(
            self.sizes.get(name, layer.size or 0)
            for name, layer in self.layers.items()
            if layer.status.startswith(UNPACKED)
        )


def _bytes(number: str, unit: str) -> int:
    return round(float(number) * UNIT[unit])


def layer_sizes(manifests: str) -> dict[str, int]:
    """Return {short id: bytes} of the layers in what `docker manifest inspect --verbose` wrote, of all platforms; nothing if it is something else."""
    try:
        found = json.loads(manifests)
    except ValueError:
        return {}
    sizes = {}
    for entry in found if isinstance(found, list) else [found]:
        manifest = entry.get("SchemaV2Manifest") or entry.get("OCIManifest") or {}
        sizes.update(
            {layer["digest"].split(":")[1][:12]: int(layer["size"]) for layer in manifest.get("layers", [])}
        )
    return sizes


def login(image: str, username: str, password: str) -> str:
    """Return a config.json of the Docker command that holds these credentials for the registry of *image*."""
    name = registry(image)
    auth = base64.b64encode(f"{username}:{password}".encode()).decode()
    return json.dumps({"auths": {DOCKER_HUB if name == "docker.io" else name: {"auth": auth}}})


def registry(image: str) -> str:
    """Return the registry that Docker takes *image* from, as it names it itself."""
    first, slash, _rest = image.partition("/")
    return first if slash and (set(".:") & set(first) or first == "localhost") else "docker.io"
