# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of vLLM-Ascend, from profiles/releases.yml and the files next to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import fields, flags, names
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError

OTHER_RELEASE = "choose one of them, or, for an image of another one, set vllm_image and vllm_image_versions"

VERSIONS = ("python", "cann", "torch", "torch_npu", "vllm")  # cells that image_versions has, in its order


@dataclass(frozen=True)
class Release:
    """A row of the table, and what the release reads."""

    name: str
    row: Mapping[str, Any]
    keys: frozenset[str]  # of additional-config
    nested: frozenset[str]  # keys of mappings among them, at any depth, as MAPPING.KEY; not of all mappings
    refuses_keys: bool  # whether it does not start with others
    refuses_nested: frozenset[str]  # the mappings with which it does not start if they have others
    kinds: Mapping[str, str]  # of their values, also of MAPPING.KEY
    values: Mapping[str, Sequence[Any]]  # the only ones that some of them take
    # What it refuses when it starts, by names in tests/ascend_settings.py and vllm_flags.py.
    checks: frozenset[str]
    quantizations: Sequence[str]  # methods of quantized weights that it takes, empty if not known
    fields: Mapping[str, fields.Fields]  # what vLLM takes in its own mappings
    flags: flags.Flags
    variables: frozenset[str]  # VLLM_*
    whole_variables: frozenset[str]  # those that must be a whole number
    parsers: Mapping[str, frozenset[str]]  # by the flag that names one
    choices: Mapping[str, Sequence[str]]  # what vLLM takes for a flag, if that is a few words
    successors: Mapping[str, str]  # {variable: key of additional-config}
    others: Mapping[
        str, str | None
    ]  # variables that CANN, torch_npu and the like read, with the range of a number
    sources: Mapping[str, str]  # by cell

    @classmethod
    def of(
        cls,
        table: Mapping[str, Any],
        name: str,
        ascend: Mapping[str, Any],
        vllm: Mapping[str, Any],
        mappings: Mapping[str, Any],
    ) -> Release:
        """Return a release. *ascend* and *vllm* are the files with what they read, *mappings* has what is inside."""
        row = table["releases"][name]
        return cls(
            name,
            row,
            frozenset(ascend["additional_config"]),
            frozenset(ascend["nested"]),
            ascend["refuses_unknown_keys"],
            frozenset(ascend["refuses_nested"]),
            {key: kind for kind, keys in ascend["kinds"].items() for key in keys},
            ascend["choices"] or {},
            frozenset([*ascend["checks"], *vllm["checks"]]),
            ascend.get("quantizations", ()),
            fields.of_file(mappings),
            flags.of_file(vllm, str(row["vllm"])),
            frozenset([*ascend["environment"], *vllm["environment"]]),
            frozenset([*ascend["whole_variables"], *vllm["whole_variables"]]),
            {
                "tool-call-parser": frozenset(vllm["tool_parsers"]),
                "reasoning-parser": frozenset(vllm["reasoning_parsers"]),
            },
            vllm.get("choices", {}),
            table["successors"],
            table["variables"],
            sources(table, name),
        )


def sources(table: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return where each cell of a release comes from."""
    given = {**table["sources"], **table["releases"][name].get("sources", {})}
    return {cell: text.replace("{tag}", f"v{name}") for cell, text in given.items()}


def image(table: Mapping[str, Any], name: str, variant: str) -> str:
    """Return the image of a release."""
    return f"{table['repository']}:{table['images'][variant].format(release=name)}"


def given(table: Mapping[str, Any], name: str, variant: str) -> dict[str, Any]:
    """Return the settings that a release gives: its image, and the versions in it."""
    if name not in table["releases"]:
        expected = f"one of {', '.join(table['releases'])}"
        raise ProblemError(f"vllm_release is {name!r}", expected, _remedy(table["releases"], name))
    if variant not in table["images"]:
        expected, remedy = f"one of {', '.join(table['images'])}", names.remedy(table["images"], variant)
        raise ProblemError(f"vllm_image_variant is {variant!r}", expected, remedy)
    row = table["releases"][name]
    versions = {key: row[key] for key in VERSIONS if row[key] is not None}
    return {"image": image(table, name, variant), "image_versions": {**versions, "vllm_ascend": name}}


def _remedy(known: Mapping[str, Any], name: str) -> str:
    """Return what to do about a *name* that is no known release. One that looks like another need not mean that."""
    plain = name.lower().lstrip("v").replace("-", "")
    meant = [release for release in known if release == plain or release.startswith(f"{plain}.")]
    return f"write {min(meant, key=len)}, if that is meant" if meant else OTHER_RELEASE
