# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of one host, and the release that they are for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import flags
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.model import describes
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.releases import Release

CONFIG = "additional-config"
ENVIRONMENTS = ("container_env", "serve_env")


@dataclass(frozen=True)
class Case:
    """The settings of one host, and what they are compared with."""

    host: str
    hosts: Sequence[str]  # head first
    settings: Mapping[str, Any]
    head: Mapping[str, Any]  # the settings of the head
    shipped: Mapping[str, Any]  # those of the host as the collection ships them
    release: Release

    @property
    def is_head(self) -> bool:
        """Return whether the host has the API server."""
        return self.host == self.hosts[0]

    @cached_property
    def args(self) -> dict[str, Any]:
        """Return the flags of the host, those among the raw words as well."""
        own = {} if self.is_head else self.settings["serve_worker_args"]
        words = flags.parse(self.words)
        return flags.effective(self.settings["serve_args"], own, words)

    @property
    def words(self) -> list[str]:
        """Return the raw words, each flag by its full name."""
        return flags.spelled(self.release.flags, self.settings["serve_extra_args"])

    @property
    def config(self) -> Mapping[str, Any]:
        """Return the mapping of additional-config."""
        return {str(key): value for key, value in mapping(self.args.get(CONFIG)).items()}

    @property
    def model(self) -> Mapping[str, Any]:
        """Return what config.json says of the text model, if it is given; nothing for another repository."""
        config = self.settings["model_config"]
        is_own = describes(config, self.settings["model_repo"])
        return {**config, **mapping(config.get("text_config"))} if is_own else {}

    def number(self, flag: str) -> float | None:
        """Return the number that a flag has; None if it has none."""
        text = str(self.args.get(flag, ""))
        return flags.number(text) if re.fullmatch(rf"\d{{1,19}}|{flags.COUNT}", text) else None

    def variables(self) -> Iterator[tuple[str, str, Any]]:
        """Yield setting, name and value of each variable."""
        for key in ENVIRONMENTS:
            for name, value in self.settings[key].items():
                if value is not None:
                    yield key, name, value

    def is_shipped(self, key: str, *names: str) -> bool:
        """Return whether entries of a setting are as the collection ships them."""
        own, theirs = self.settings[key], self.shipped.get(key) or {}
        return all(own.get(name) == theirs.get(name) for name in names)

    @property
    def engines(self) -> int:
        """Return the size of data parallelism."""
        return len(self.hosts) * int(self.settings["data_parallel_size_local"])

    def __getitem__(self, cell: str) -> Any:
        """Return a cell of the release."""
        return self.release.row[cell]

    def source(self, cell: str) -> str:
        """Return where a cell of the release comes from."""
        return self.release.sources[cell]

    @property
    def flags_source(self) -> str:
        """Return where the flags of the release come from."""
        return f"vLLM {self['vllm']}, by tests/vllm_flags.py"

    @property
    def fields_source(self) -> str:
        """Return where the keys and values of its mappings come from."""
        return f"vLLM {self['vllm']}, by tests/vllm_fields.py"


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a mapping, an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}
