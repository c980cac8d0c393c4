# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules on single flags, and on the patch set that adds values to them."""

from __future__ import annotations

from typing import Iterator

from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import FAIL, WARN
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint.case import Case
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint.registry import Found, Rules
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import flags, names
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.container import VLLM_STOP_SECONDS

rules = Rules()
# What vllm-ascend adds to the choices of vLLM (v0.30.0rc2, docs/source/tutorials/models/GLM5.3.md).
ADDED_CHOICES = {"kv-cache-dtype": ("int8",)}
OF_NODES = ("master-addr", "master-port", "node-rank")
PARSER_PLUGINS = {"tool-call-parser": "tool-parser-plugin", "reasoning-parser": "reasoning-parser-plugin"}


@rules.named("flag_unknown")
def _unknown_words(case: Case) -> Iterator[Found]:
    """A warning, as an image of one's own may have more flags."""
    for word in case.words:
        match = flags.WORD.fullmatch(word)
        name = match["name"].partition(".")[0].replace("_", "-") if match else ""
        if match and not case.release.flags.has(name if match["dashes"] == "--" else word):
            meant = names.closest(case.release.flags.kinds, name)
            yield Found(
                WARN,
                f"vllm_serve_extra_args has {word.partition('=')[0]}, which vLLM {case['vllm']} does not have",
                "its flags",
                flags.GONE.get(name)
                or (f"write --{meant}, if that is meant, or remove it" if meant else "remove it"),
                case.flags_source,
            )


@rules.named("flag_idle")
def _idle(case: Case) -> Iterator[Found]:
    """These flags are for one engine over several hosts (vllm/config/parallel.py)."""
    idle = [flag for flag in OF_NODES if case.args.get(flag) is not None]
    if idle and (case.number("nnodes") or 1) <= 1:
        yield Found(
            WARN,
            f"{', '.join(idle)} without nnodes, and vLLM then does not read it",
            "no such flag: the address that the API listens on is host, that of the head vllm_service_ip",
            f"vllm_serve_args: {{{': null, '.join(idle)}: null}}",
            case.flags_source,
        )


@rules.named("shutdown_timeout")
def _shutdown_timeout(case: Case) -> Iterator[Found]:
    """The supervisor drains the service before it stops vLLM, and ends a failed generation without waiting."""
    seconds = case.number("shutdown-timeout") or 0
    if "shutdown-timeout" in case.release.flags.kinds and seconds > VLLM_STOP_SECONDS:
        yield Found(
            WARN,
            f"shutdown-timeout is {seconds:.0f}, and the supervisor gives vLLM {VLLM_STOP_SECONDS} s to stop",
            "vllm_drain_seconds, for which a planned stop waits before that",
            f"vllm_serve_args: {{shutdown-timeout: null}}, and vllm_drain_seconds: {seconds:.0f}",
            case.flags_source,
        )


@rules.named("parser_missing")
def _parsers(case: Case) -> Iterator[Found]:
    patch_set = case.settings["patch_set"]
    if not case.is_head or (patch_set and patch_set not in case["patch_sets"]):
        return  # nobody knows here what another patch set adds
    added = case["patch_sets"].get(patch_set, ())
    for flag, known in case.release.parsers.items():
        name = case.args.get(flag)
        if name and str(name) not in (*known, *added) and not case.args.get(PARSER_PLUGINS[flag]):
            yield Found(
                FAIL,
                f"{flag} is {name}, which vLLM {case['vllm']} does not have",
                f"one of {', '.join(sorted(known))}",
                "choose one of them, a release that has it, or a patch set that adds it (vllm_patch_set)",
                case.flags_source,
            )


@rules.named("flag_value")
def _values(case: Case) -> Iterator[Found]:
    """A warning, as vllm-ascend adds values of its own, which only the image knows."""
    for flag, choices in case.release.choices.items():
        value = case.args.get(flag)
        if value is not None and str(value) not in (*choices, *ADDED_CHOICES.get(flag, ())):
            yield Found(
                WARN,
                f"{flag} is {value}, which vLLM {case['vllm']} by itself does not take",
                f"one of {', '.join(choices)}",
                names.remedy(choices, str(value)),
                case.flags_source,
            )


@rules.named("patch_set")
def _patch_set(case: Case) -> Iterator[Found]:
    name = case.settings["patch_set"]
    if name and not name.endswith((".yml", ".yaml")) and name not in case["patch_sets"]:
        yield Found(
            WARN,
            f"vllm_patch_set is {name}, which has nothing for vLLM-Ascend {case.release.name}",
            ", ".join(case["patch_sets"]) or "none",
            "set vllm_patch_set: null",
            case.source("patch_sets"),
        )
