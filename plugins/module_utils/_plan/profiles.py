# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of profiles/, and those that an inventory names by their path."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping

from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import flags, names, releases, settings
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.releases import Release
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import patch_set

MODEL = "models/{}.yml"
HARDWARE = "hardware/{}.yml"
PATCH_SET = "patches/{}/patch.yml"
FLAGS = "flags/{}.yml"
RELEASES = "releases.yml"
ASCEND = "ascend/{}.yml"
FIELDS = "fields/{}.yml"


@dataclass(frozen=True)
class Profiles:
    """Finds and reads profiles. Shipped ones have a name; any other YAML file is named by its path."""

    root: Path
    read: Callable[[Path], Any]

    def layers(self, profile: str, given: Mapping[str, str]) -> list[settings.Layer]:
        """Return the layers below the inventory: defaults, release, hardware, the profile after what it extends.

        *given* are the values of vllm_hardware, vllm_release and vllm_image_variant in the inventory.
        """
        defaults = self.root / "defaults.yml"
        chain = self._chain(profile)
        files = [(defaults, self._mapping(defaults)), self._machine(profile, chain, given), *chain]
        layers = [settings.of_file(self._place(path), content) for path, content in files]
        chosen = {
            key: given.get(key) or _last(content.get(key) for _path, content in files)
            for key in ("release", "image_variant")
        }
        if chosen["release"]:
            table = self.table()
            content = releases.given(table, str(chosen["release"]), str(chosen["image_variant"]))
            layers.insert(1, settings.of_file(self._place(self.root / RELEASES), content))
        return layers

    def _machine(
        self, profile: str, chain: list[tuple[Path, dict[str, Any]]], given: Mapping[str, str]
    ) -> tuple[Path, dict[str, Any]]:
        named = [(path, content["hardware"]) for path, content in chain if content.get("hardware")]
        if not given.get("hardware") and not named:
            remedy = f"add a line hardware: to {self._place(chain[-1][0])}, or set vllm_hardware"
            raise ProblemError(f"profile {profile} names no hardware", self._known(HARDWARE), remedy)
        own = given.get("hardware")
        path, name = (Path.cwd() / "inventory", own) if own else named[-1]
        machine = self._find("vllm_hardware", str(name), path.parent, HARDWARE)
        return machine, self._mapping(machine)

    def models(self) -> list[str]:
        """Return the names of the shipped profiles of models."""
        return self._shipped(MODEL)

    def repo(self, profile: str) -> str:
        """Return the repository of a profile's model, without its other settings."""
        return str(_last(content.get("model_repo") for _path, content in self._chain(profile)))

    def table(self) -> dict[str, Any]:
        """Return the table of releases."""
        table: dict[str, Any] = self.read(self.root / RELEASES)
        return table

    def release(self, name: str | None) -> Release | None:
        """Return a release; None if the table does not have it."""
        table = self.table()
        if name not in table["releases"]:
            return None
        row = table["releases"][name]
        vllm = row["vllm"]
        files = (ASCEND.format(row["settings"]), FLAGS.format(vllm), FIELDS.format(vllm))
        return Release.of(table, str(name), *(self.read(self.root / file) for file in files))

    def serve_flags(self, vllm: Any) -> flags.Flags:
        """Return the flags of the version *vllm*; of the newest known one, unchecked, if it is not known."""
        path = self.root / FLAGS.format(vllm)
        if path.is_file():
            return flags.of_file(self.read(path), str(vllm))
        known = sorted(
            self.root.glob(FLAGS.format("*")),
            key=lambda path: [int(part) for part in re.findall(r"\d+", path.stem)],
        )
        return flags.of_file(self.read(known[-1]), None)

    def patch(self, chosen: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the patch set that the merged settings *chosen* name, for the vLLM of their image; None for none."""
        name, version = chosen["patch_set"], str(chosen["image_versions"].get("vllm"))
        if name is None:
            return None
        path = self._find("vllm_patch_set", name, Path.cwd(), PATCH_SET)
        known = version if version[:1].isdigit() else None  # the image may have others, if it is a condition
        content = patch_set.load(path, self.read(path), chosen["patch_repairs"], known)
        return {"set": name, "dir": chosen["patch_dir"], **content}

    def _chain(self, profile: str) -> list[tuple[Path, dict[str, Any]]]:
        """Return the profile's files with their content, each after the one that it extends."""
        chain: list[tuple[Path, dict[str, Any]]] = []
        variable, name, base = "vllm_profile", profile, Path.cwd()
        while name:
            path = self._find(variable, str(name), base, MODEL)
            if path in [known for known, _content in chain]:
                found = f"profile {self._place(path)} extends itself"
                raise ProblemError(found, "a chain that ends", "remove one extends")
            content = self._mapping(path)
            chain.insert(0, (path, content))
            variable, base = f"extends of {self._place(path)}", path.parent
            name = content.get("extends", "")
        return chain

    def _mapping(self, path: Path) -> dict[str, Any]:
        content = self.read(path)
        if isinstance(content, dict):
            return content
        found = f"profile {self._place(path)} is not a mapping of settings"
        raise ProblemError(
            found, "keys and values, as in models/glm-4.7.yml", "write KEY: VALUE in its lines"
        )

    def _find(self, variable: str, name: str, base: Path, pattern: str) -> Path:
        """Return the file: a shipped one by its name, or any YAML file by its path, seen from *base*."""
        by_path = name.endswith((".yml", ".yaml"))
        path = (base / Path(name).expanduser()).resolve() if by_path else self.root / pattern.format(name)
        if path.is_file():
            return path
        found = f"{variable} is {name!r}, and there is no file {path}"
        remedy = "correct the path" if by_path else names.remedy(self._shipped(pattern), name)
        raise ProblemError(found, self._known(pattern), remedy)

    def _known(self, pattern: str) -> str:
        return f"one of {', '.join(self._shipped(pattern))}, or the path of a YAML file"

    def _shipped(self, pattern: str) -> list[str]:
        """Return the names of the shipped files."""
        folder, _braces, rest = pattern.partition("{}")
        paths = (str(path.relative_to(self.root)) for path in self.root.glob(pattern.format("*")))
        return sorted(path[len(folder) : -len(rest)] for path in paths)

    def _place(self, path: Path) -> str:
        inside = self.root in path.parents
        return str(path.relative_to(self.root.parent) if inside else path)


def _last(values: Iterable[Any]) -> Any:
    """Return the last of *values* that is not empty."""
    return next((value for value in reversed(list(values)) if value), None)
