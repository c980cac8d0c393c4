"""The releases of vLLM-Ascend that the lab can serve: what profiles/releases.yml says is in their images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml
from system import LabError

TABLE = Path(__file__).resolve().parents[2] / "profiles/releases.yml"


@dataclass(frozen=True)
class Release:
    """A row of the table; `cann` is one version, or the conditions that it satisfies."""

    name: str
    vllm: str
    cann: str


def find(name: str) -> Release:
    """The release of that name."""
    table = yaml.safe_load(TABLE.read_text(encoding="utf-8"))["releases"]
    if name not in table:
        raise LabError(f"there is no release {name!r} in {TABLE}; there are {', '.join(table)}")
    return Release(name, str(table[name]["vllm"]), str(table[name]["cann"]))
