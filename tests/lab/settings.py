"""Where the lab lives: its folders, its network, its names. Everything else derives from here."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from system import LabError

SOURCES = Path(__file__).resolve().parent
IMAGE = "ascend/vllm-ascend"
RELEASE = "0.13.0rc1"  # of vLLM-Ascend; others are built when they are asked for
MODEL = "ZhipuAI/GLM-4.7"
MAX_NODES = 64


@dataclass(frozen=True)
class Settings:
    """The cache survives `lab down`; the state is what a running lab needs and goes with it."""

    cache: Path
    state: Path
    network: ipaddress.IPv4Network

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        return cls(
            cache=Path(environ.get("ASCEND_LAB_CACHE", "/var/cache/ascend-ops-lab")),
            state=Path(environ.get("ASCEND_LAB_STATE", "/var/lib/ascend-ops-lab")),
            network=parse_prefix(environ.get("ASCEND_LAB_NET", "10.77.0")),
        )

    @property
    def rootfs(self) -> Path:
        """The root all nodes share, as the read-only lower layer of theirs."""
        return self.cache / "rootfs"

    @property
    def engines(self) -> Path:
        """The heavy Python packages that nodes mount instead of pulling them in the image: a folder for each vLLM."""
        return self.cache / "engine"

    def image(self, release: str) -> Path:
        """The layers that only this serving image has, and its configuration."""
        return self.cache / "images" / release

    @property
    def base(self) -> Path:
        """The layers below them."""
        return self.cache / "images" / "base"

    def layers(self, release: str) -> list[Path]:
        """All layers of a serving image, lowest first."""
        return sorted(self.base.glob("*.tar")) + sorted(self.image(release).glob("*.tar"))

    @property
    def key(self) -> Path:
        return self.state / "key"

    @property
    def hub_token(self) -> Path:
        return self.state / "hub-token"

    @property
    def controller(self) -> str:
        return str(self.network[1])

    @property
    def registry(self) -> str:
        return f"{self.controller}:5000"

    @property
    def guarded_registry(self) -> str:
        """One that requires a login; tests start it."""
        return f"{self.controller}:5001"

    @property
    def hub(self) -> str:
        return f"{self.controller}:8090"

    @property
    def authority(self) -> Path:
        """A folder with the authority of the hub's certificate."""
        return self.state / "authority"

    @property
    def cdn(self) -> str:
        """Where the hub redirects to for large files."""
        return f"{self.controller}:8091"

    def pid_file(self, name: str) -> Path:
        return self.state / "pids" / name

    def log_file(self, name: str) -> Path:
        return self.state / "logs" / f"{name}.log"


def parse_prefix(prefix: str) -> ipaddress.IPv4Network:
    """The /24 network of a prefix such as 10.77.0."""
    try:
        return ipaddress.IPv4Network(f"{prefix}.0/24")
    except ValueError:
        raise LabError(
            f"ASCEND_LAB_NET is {prefix!r}; expected the first three numbers of a free private network, such as 10.77.0"
        ) from None
