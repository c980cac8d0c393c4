# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules on the variables of the environment."""

from __future__ import annotations

import json
import re
from typing import Iterator

from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import WARN
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint.case import Case
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint.registry import Found, Rules
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import flags, names, values

rules = Rules()
RUST = "VLLM_USE_RUST_FRONTEND"
RUST_REFUSES = "https://github.com/vllm-project/vllm/blob/main/rust/src/cmd/src/cli/unsupported.rs"


@rules.named("variable_unread")
def _variables(case: Case) -> Iterator[Found]:
    for key, name, _value in case.variables():
        if name.startswith("VLLM_") and name not in case.release.variables:
            successor = case.release.successors.get(name)
            remedy = f"vllm_{key}: {{{name}: null}}"
            if successor in case.release.keys:
                remedy += f", and set {successor} in additional-config instead"
            yield Found(
                WARN,
                f"vllm_{key} has {name}, which neither vLLM {case['vllm']} nor vLLM-Ascend {case.release.name} reads",
                "variables that they read",
                f"remove it: {remedy}",
                case.source("settings"),
                known=case.is_shipped(key, name),
            )


@rules.named("variable_misspelt")
def _misspelt(case: Case) -> Iterator[Found]:
    """A name that others read may be new. One that is almost theirs is taken for a slip."""
    for key, name, value in case.variables():
        ours = name.startswith("VLLM_") or name in case.release.others
        meant = None if ours else names.closest(case.release.others, name, names.SIMILAR)
        if meant:
            yield Found(
                WARN,
                f"vllm_{key} has {name}, which is almost {meant}",
                f"the variable {meant}",
                f"if that is meant, vllm_{key}: {{{name}: null, {meant}: {json.dumps(str(value))}}}",
                case.source("variables"),
            )


@rules.named("variable_value")
def _variable_values(case: Case) -> Iterator[Found]:
    for key, name, value in case.variables():
        limits = case.release.others.get(name) or ""
        is_vllms = name in case.release.whole_variables
        text = str(value).strip()
        if values.VARIABLE.search(text) or not (limits or is_vllms):
            continue  # bash fills it in, or it is any text
        if not re.fullmatch(r"[+-]?[0-9]{1,19}", text) or not flags.is_within(float(text), limits):
            yield Found(
                WARN,
                f"vllm_{key} has {name}: {json.dumps(str(value))}",
                f"a whole number{flags.limits_text(limits)}",
                f"correct it, or take it out: vllm_{key}: {{{name}: null}}",
                case.flags_source if is_vllms else case.source("variables"),
            )


@rules.named("rust_frontend")
def _rust_frontend(case: Case) -> Iterator[Found]:
    """The API server in Rust refuses each flag that it does not know."""
    drains = int(case.settings["drain_seconds"]) > 0
    for key, name, value in case.variables() if case.is_head and drains else ():
        if name == RUST and RUST in case.release.variables and str(value).strip() not in ("0", ""):
            yield Found(
                WARN,
                f"vllm_{key} has {RUST}: {json.dumps(str(value))}, and that API server does not start with the "
                "middleware that drains the service",
                "one of them",
                f"vllm_{key}: {{{RUST}: null}}, or vllm_drain_seconds: 0",
                RUST_REFUSES,
            )
