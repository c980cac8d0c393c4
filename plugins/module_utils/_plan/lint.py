# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check settings against the release that they are for, before any host is contacted.

Each rule is a function below, with the id of its findings. A finding fails only where the release refuses to start.
It warns where a setting does not do what it seems to. What a shipped profile has just so is a note: it is known, and
the same in every run.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Callable, Iterable, Iterator, Mapping, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import (
    FAIL,
    INFO,
    WARN,
    Finding,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import (
    capacity,
    fields,
    flags,
    names,
    values,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.model import describes, name_of
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.releases import Release
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.versions import compare, differences

CONFIG = "additional-config"
ENVIRONMENTS = ("container_env", "serve_env")
# Variables that name a host's own address, NIC or chips.
OWN_VARIABLES = re.compile(r"HCCL_IF_IP|.*_SOCKET_IFNAME|ASCEND_RT_VISIBLE_DEVICES|HCCL_LOGIC_SUPERPOD_ID")
QUANTIZED = re.compile(r"[-_.]w\d+a\d+", re.IGNORECASE)
IMAGE_TAG = re.compile(r":v(?P<release>\d[^-@]*)(?P<variant>(-(a\d|310p))?(-openeuler)?)(@.*)?$")
MC2 = "https://github.com/vllm-project/vllm-ascend/issues/5947"
# What vllm-ascend adds to the choices of vLLM (v0.30.0rc2, docs/source/tutorials/models/GLM5.3.md).
ADDED_CHOICES = {"kv-cache-dtype": ("int8",)}
INTRA = {"HCCL_INTRA_PCIE_ENABLE": "1", "HCCL_INTRA_ROCE_ENABLE": "0"}
PARSER_PLUGINS = {"tool-call-parser": "tool-parser-plugin", "reasoning-parser": "reasoning-parser-plugin"}


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
        """Return what config.json says of the text model, as far as it is given; nothing for another repository."""
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


@dataclass(frozen=True)
class Found:
    """What a rule found. *known* if it is just so in what the collection ships."""

    severity: str
    problem: Problem
    source: str
    known: bool = False


Rule = Callable[[Case], Iterator[Found]]
RULES: dict[str, Rule] = {}


def rule(name: str) -> Callable[[Rule], Rule]:
    """Register a rule under the id of its findings."""

    def register(function: Rule) -> Rule:
        RULES[name] = function
        return function

    return register


def findings(cases: Sequence[Case], accept: Mapping[str, Iterable[str]]) -> list[Finding]:
    """Return what is found, the head's first. A worker's is left out if the head has the same."""
    found: dict[tuple[str, Problem], Finding] = {}
    for case in cases:
        for name, check in RULES.items():
            for one in check(case):
                severity = INFO if one.known and one.severity == WARN else one.severity
                finding = Finding(name, severity, case.host, one.problem, source=one.source)
                accepted = name in accept.get(case.host, ())
                found.setdefault((name, one.problem), _accepted(finding) if accepted else finding)
    return list(found.values())


def _accepted(finding: Finding) -> Finding:
    """Return a failure as a warning, and a warning as a note."""
    severity = WARN if finding.severity == FAIL else INFO
    return replace(finding, severity=severity, accepted=True)


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a mapping, an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


# Settings that nothing reads, and those that are refused


@rule("config_unread")
def _config(case: Case) -> Iterator[Found]:
    shipped = mapping(flags.effective(case.shipped.get("serve_args") or {}).get(CONFIG))
    for key, inner, refused in _unread(case):
        name = f"{key}.{inner}" if inner else key
        meant = _meant(case.release, key, inner)
        rename = f"write {meant}, if that is meant, or " if meant else ""
        yield Found(
            FAIL if refused else WARN,
            Problem(
                f"additional-config has {name}, which vLLM-Ascend {case.release.name} "
                + ("does not know, and so it does not start" if refused else "does not read"),
                "keys that it reads",
                f"{rename}remove it: {_take_out(f'{CONFIG}.{name}')}",
            ),
            case.source("settings"),
            known=key in shipped and shipped[key] == case.config[key],
        )


def _meant(release: Release, key: str, inner: str) -> str | None:
    """Return the key that is meant: one of another mapping by the same name, or a similar one beside it."""
    name = f"{key}.{inner}" if inner else key
    moved = [one for one in (*release.keys, *release.nested) if one.rpartition(".")[2] == (inner or key)]
    beside = release.nested if inner else release.keys
    return moved[0] if len(moved) == 1 else names.closest(beside, name, names.SIMILAR)


def _unread(case: Case) -> Iterator[tuple[str, str, bool]]:
    """Yield each key that the release does not read, the key inside of its mapping, and whether it is refused."""
    mappings = {name.partition(".")[0] for name in case.release.nested}
    for key, value in sorted(case.config.items()):
        if key not in case.release.keys:
            yield key, "", case.release.refuses_keys
        elif key in mappings:
            for inner in sorted(map(str, mapping(value))):
                if f"{key}.{inner}" not in case.release.nested:
                    yield key, inner, key in case.release.refuses_nested


@rule("config_value")
def _config_values(case: Case) -> Iterator[Found]:
    """Where AscendConfig is a class of pydantic, it refuses a wrong value. A plain one takes any text for true."""
    is_refused = case.release.refuses_keys
    effect = "refuses" if is_refused else "misreads: it takes the value as it is"
    takes = fields.fits if is_refused else fields.fits_as_it_is
    for name, kind in sorted(case.release.kinds.items()):
        key, _dot, inner = name.partition(".")
        value = mapping(case.config.get(key)).get(inner) if inner else case.config.get(key)
        if value is not None and not takes(kind, value) and not values.is_open(value):
            yield Found(
                FAIL if is_refused else WARN,
                Problem(
                    f"additional-config has {name}: {flags.shortened(value)}, "
                    f"which vLLM-Ascend {case.release.name} {effect}",
                    fields.words(kind),
                    f"correct it, or take it out: {_take_out(f'{CONFIG}.{name}')}",
                ),
                case.source("settings"),
            )


def _take_out(path: str) -> str:
    """Return the setting that takes out a key of a mapping, given as FLAG.KEY or FLAG.KEY.KEY."""
    entry = "null"
    for name in reversed(path.split(".")):
        entry = f"{{{name}: {entry}}}"
    return f"vllm_serve_args: {entry}"


@rule("mapping_key")
def _mapping_keys(case: Case) -> Iterator[Found]:
    for name, key, _value in fields.entries(case.release.fields, case.args):
        known = case.release.fields[name]
        if key not in known.kinds:
            meant = names.closest(known.kinds, key)
            rename = f"write {meant}, if that is meant, or " if meant else ""
            yield Found(
                FAIL if known.refuses_others else WARN,
                Problem(
                    f"{name} has {key}, which vLLM {case['vllm']} does not "
                    + ("know, and so it does not start" if known.refuses_others else "read"),
                    "keys that it reads",
                    f"{rename}remove it: {_take_out(f'{name}.{key}')}",
                ),
                f"vLLM {case['vllm']}, by tests/vllm_fields.py",
            )


@rule("mapping_value")
def _mapping_values(case: Case) -> Iterator[Found]:
    """A warning for a text that is none of the known ones: vLLM-Ascend may add some."""
    for name, key, value in fields.entries(case.release.fields, case.args):
        known = case.release.fields[name]
        expected = fields.expected(known, key, value)
        if expected:
            yield Found(
                WARN if key in known.choices else FAIL,
                Problem(
                    f"{name} has {key}: {flags.shortened(value)}, which vLLM {case['vllm']} "
                    + ("by itself does not take" if key in known.choices else "refuses"),
                    expected,
                    f"correct it, or take it out: {_take_out(f'{name}.{key}')}",
                ),
                f"vLLM {case['vllm']}, by tests/vllm_fields.py",
            )


@rule("variable_unread")
def _variables(case: Case) -> Iterator[Found]:
    for key, name, _value in case.variables():
        if name.startswith("VLLM_") and name not in case.release.variables:
            successor = case.release.successors.get(name)
            remedy = f"vllm_{key}: {{{name}: null}}"
            if successor in case.release.keys:
                remedy += f", and set {successor} in additional-config instead"
            yield Found(
                WARN,
                Problem(
                    f"vllm_{key} has {name}, which neither vLLM {case['vllm']} nor vLLM-Ascend {case.release.name} reads",
                    "variables that they read",
                    f"remove it: {remedy}",
                ),
                case.source("settings"),
                known=case.is_shipped(key, name),
            )


@rule("variable_misspelt")
def _misspelt(case: Case) -> Iterator[Found]:
    """A name that others read may be new. One that is almost theirs is taken for a slip."""
    for key, name, value in case.variables():
        ours = name.startswith("VLLM_") or name in case.release.others
        meant = None if ours else names.closest(case.release.others, name, names.SIMILAR)
        if meant:
            yield Found(
                WARN,
                Problem(
                    f"vllm_{key} has {name}, which is almost {meant}",
                    f"the variable {meant}",
                    f"if that is meant, vllm_{key}: {{{name}: null, {meant}: {json.dumps(str(value))}}}",
                ),
                case.source("variables"),
            )


@rule("variable_value")
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
                Problem(
                    f"vllm_{key} has {name}: {json.dumps(str(value))}",
                    f"a whole number{flags.limits_text(limits)}",
                    f"correct it, or take it out: vllm_{key}: {{{name}: null}}",
                ),
                f"vLLM {case['vllm']}, by tests/vllm_flags.py" if is_vllms else case.source("variables"),
            )


@rule("flag_unknown")
def _unknown_words(case: Case) -> Iterator[Found]:
    """A warning, as an image of one's own may have more flags."""
    for word in case.words:
        match = flags.WORD.fullmatch(word)
        name = match["name"].partition(".")[0].replace("_", "-") if match else ""
        if match and not case.release.flags.has(name if match["dashes"] == "--" else word):
            meant = names.closest(case.release.flags.kinds, name)
            yield Found(
                WARN,
                Problem(
                    f"vllm_serve_extra_args has {word.partition('=')[0]}, which vLLM {case['vllm']} does not have",
                    "its flags",
                    f"write --{meant}, if that is meant, or remove it" if meant else "remove it",
                ),
                f"vLLM {case['vllm']}, by tests/vllm_flags.py",
            )


@rule("parser_missing")
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
                Problem(
                    f"{flag} is {name}, which vLLM {case['vllm']} does not have",
                    f"one of {', '.join(sorted(known))}",
                    "choose one of them, a release that has it, or a patch set that adds it (vllm_patch_set)",
                ),
                f"vLLM {case['vllm']}, by tests/vllm_flags.py",
            )


@rule("flag_value")
def _values(case: Case) -> Iterator[Found]:
    """A warning, as vllm-ascend adds values of its own, which only the image knows."""
    for flag, choices in case.release.choices.items():
        value = case.args.get(flag)
        if value is not None and str(value) not in (*choices, *ADDED_CHOICES.get(flag, ())):
            yield Found(
                WARN,
                Problem(
                    f"{flag} is {value}, which vLLM {case['vllm']} by itself does not take",
                    f"one of {', '.join(choices)}",
                    names.remedy(choices, str(value)),
                ),
                f"vLLM {case['vllm']}, by tests/vllm_flags.py",
            )


@rule("patch_set")
def _patch_set(case: Case) -> Iterator[Found]:
    name = case.settings["patch_set"]
    if name and not name.endswith((".yml", ".yaml")) and name not in case["patch_sets"]:
        yield Found(
            WARN,
            Problem(
                f"vllm_patch_set is {name}, which has nothing for vLLM-Ascend {case.release.name}",
                ", ".join(case["patch_sets"]) or "none",
                "set vllm_patch_set: null",
            ),
            case.source("patch_sets"),
        )


# What vLLM compares at its start


@rule("batch_size")
def _batch_size(case: Case) -> Iterator[Found]:
    """The checks of SchedulerConfig."""
    tokens = case.number("max-num-batched-tokens")
    if not case.is_head or tokens is None:
        return
    least = {"max-num-seqs": case.number("max-num-seqs")}
    if case.args.get("enable-chunked-prefill") in (False, "false"):
        least["max-model-len, without chunked prefill"] = case.number("max-model-len")
    for name, number in least.items():
        if number is not None and tokens < number:
            yield Found(
                FAIL,
                Problem(
                    f"max-num-batched-tokens is {tokens:.0f}, fewer than {name}: {number:.0f}, and vLLM refuses that",
                    f"{number:.0f} or more",
                    f"raise max-num-batched-tokens, or lower {name.partition(',')[0]}",
                ),
                f"vLLM {case['vllm']}: vllm/config/scheduler.py",
            )


@rule("attention_heads")
def _heads(case: Case) -> Iterator[Found]:
    heads, tensor = case.model.get("num_attention_heads"), int(case.settings["tensor_parallel_size"])
    if case.is_head and isinstance(heads, int) and heads > 0 and heads % tensor:
        sizes = [
            size for size in range(1, min(heads, len(case.settings["npu_ids"])) + 1) if heads % size == 0
        ]
        yield Found(
            FAIL,
            Problem(
                f"the model has {heads} attention heads, which {tensor} chips of an engine cannot share, and vLLM refuses that",
                f"vllm_tensor_parallel_size that divides {heads}: {', '.join(map(str, sizes))}",
                f"vllm_tensor_parallel_size: {sizes[-1]}",
            ),
            f"vLLM {case['vllm']}: vllm/config/model.py (verify_with_parallel_config)",
        )


@rule("context_length")
def _context(case: Case) -> Iterator[Found]:
    """A warning, as the model's own files may stretch its context."""
    longest, length = case.model.get("max_position_embeddings"), case.number("max-model-len")
    stretched = "hf-overrides" in case.args or {"rope_scaling", "rope_parameters"} & set(case.model)
    allowed = any(name == "VLLM_ALLOW_LONG_MAX_MODEL_LEN" for _key, name, _value in case.variables())
    if (
        case.is_head
        and isinstance(longest, int)
        and length
        and length > longest
        and not (stretched or allowed)
    ):
        yield Found(
            WARN,
            Problem(
                f"max-model-len is {length:.0f}, and the model's config.json has {longest}, beyond which vLLM does not start",
                f"{longest} or less",
                f"vllm_serve_args: {{max-model-len: {longest}}}, or stretch the context by hf-overrides",
            ),
            f"vLLM {case['vllm']}: vllm/config/model.py (max_position_embeddings)",
        )


# How the hosts start together


@rule("head_start_rank")
def _start_rank(case: Case) -> Iterator[Found]:
    if case.is_head and "data-parallel-start-rank" in case.args and case["head_start_rank"] == "refused":
        yield Found(
            FAIL,
            Problem(
                f"the head has data-parallel-start-rank, and vLLM {case['vllm']} then refuses the workers",
                "the flag on the workers only",
                "remove it from vllm_serve_args and vllm_serve_extra_args",
            ),
            case.source("head_start_rank"),
        )


@rule("api_server_count")
def _api_servers(case: Case) -> Iterator[Found]:
    count = case.args.get("api-server-count")
    if case.is_head and count is not None and re.fullmatch(r"-\d+|0", str(count)):
        yield Found(
            FAIL,
            Problem(
                f"the head has api-server-count: {count}, and vLLM then starts no API server",
                "1 or more",
                "vllm_serve_args: {api-server-count: 1}",
            ),
            case.source("api_servers"),
        )
    harmless = ("0", "1") if case["api_servers"] == 1 else ("0",)
    if not case.is_head and count is not None and str(count) not in harmless:
        yield Found(
            FAIL,
            Problem(
                f"a worker has api-server-count: {count}, and vLLM refuses that with headless",
                "the flag on the head only",
                "remove it from vllm_serve_worker_args and vllm_serve_extra_args, and set it in vllm_serve_args",
            ),
            case.source("api_servers"),
        )
    elif case.is_head and count is None and case["api_servers"] != 1 and case.engines > 1:
        yield Found(
            WARN,
            Problem(
                f"without api-server-count, vLLM {case['vllm']} starts {case.engines} API servers on the head, which "
                "end after 600 s if the weights are not loaded by then",
                "one API server",
                "vllm_serve_args: {api-server-count: 1}, or a longer VLLM_ENGINE_READY_TIMEOUT_S in vllm_serve_env",
            ),
            case.source("api_servers"),
            known=case.is_shipped("serve_args", "api-server-count"),
        )


@rule("moe_dispatch")
def _moe_dispatch(case: Case) -> Iterator[Found]:
    """MC2, the way tokens reach their experts from 16 ranks on, needs help between two A2, which PCIe joins inside."""
    ranks = case.engines * int(case.settings["tensor_parallel_size"])
    on_a2 = capacity.is_a2(case.settings["npu_name"])
    if not (case.is_head and on_a2 and len(case.hosts) > 1 and capacity.uses_mc2(on_a2, ranks)):
        return
    config = case.config
    variables = {name: str(value) for _key, name, value in case.variables()}
    has_pair = all(variables.get(name) == value for name, value in INTRA.items())
    has_key = bool(config.get("enable_mc2_hierarchy_comm")) or config.get("mc2_comm_alg") == "hierarchy"
    if has_pair or has_key or case.args.get("enable-expert-parallel") not in (True, "true"):
        return
    remedy = ", ".join(f'{name}: "{value}"' for name, value in INTRA.items())
    remedy = f"vllm_serve_env: {{{remedy}}}"
    keys = {"mc2_comm_alg": '"hierarchy"', "enable_mc2_hierarchy_comm": "true"}
    successor = next((key for key in keys if key in case.release.keys), None)
    if successor:
        remedy += f", or vllm_serve_args: {{additional-config: {{{successor}: {keys[successor]}}}}}"
    yield Found(
        WARN,
        Problem(
            f"expert parallelism of {ranks} ranks over {len(case.hosts)} hosts, without a setting for MC2 between "
            "A2: the first request may fail with error 561000 or EI0007",
            "a setting that takes MC2 over the network in two steps",
            f"if it fails so, {remedy}",
        ),
        MC2,
        known=case.is_shipped("serve_env", *INTRA)
        and case.is_shipped("serve_args", "enable-expert-parallel"),
    )


@rule("hosts_differ")
def _hosts_differ(case: Case) -> Iterator[Found]:
    for key in ENVIRONMENTS:
        theirs, own = case.head[key], case.settings[key]
        for name in sorted({*theirs, *own}):
            if theirs.get(name) != own.get(name) and not OWN_VARIABLES.fullmatch(name):
                yield _difference(f"vllm_{key} has {name}: {own.get(name)}", theirs.get(name), case.hosts[0])
    for key in ("npu_name", "image_versions"):
        if case.head[key] != case.settings[key]:
            yield _difference(f"vllm_{key} is {case.settings[key]}", case.head[key], case.hosts[0])


def _difference(found: str, expected: Any, head: str) -> Found:
    problem = Problem(found, f"{expected}, as on {head}", "set it for all hosts, not for one")
    return Found(WARN, problem, "docs/design.md: all engines of a service are one program")


# Image, driver and weights


@rule("release_versions")
def _versions(case: Case) -> Iterator[Found]:
    given = {name: str(value) for name, value in case.settings["image_versions"].items()}
    row = {name: case[name] for name in ("cann", "torch", "vllm") if case[name] is not None}
    plain = {name: given[name] for name in row if name in given and given[name][0].isdigit()}
    for name, version in differences(plain, {name: row[name] for name in plain}).items():
        yield Found(
            WARN,
            Problem(
                f"vllm_image_versions has {name}: {version}, with vllm_ascend {case.release.name}",
                f"{name} {row[name]}, as in its image",
                f"set vllm_release to the release of your image, or correct vllm_image_versions: {{{name}: …}}",
            ),
            case.source(name),
        )


@rule("release_image")
def _image(case: Case) -> Iterator[Found]:
    """Tags that do not follow upstream's scheme say nothing."""
    tag = IMAGE_TAG.search(case.settings["image"])
    if not tag:
        return
    if tag["release"] != case.release.name:
        yield Found(
            WARN,
            Problem(
                f"vllm_image has release {tag['release']} in its tag",
                f"{case.release.name}, as vllm_image_versions says",
                f"set vllm_release: {tag['release']}",
            ),
            case.source("images"),
        )
    machine, expected = _machine(tag["variant"].lstrip("-")), _machine(case.settings["image_variant"])
    if machine != expected:
        yield Found(
            WARN,
            Problem(
                f"the tag of vllm_image is for {machine.upper()}, and {case.settings['npu_name']} is {expected.upper()}",
                f"the image for {expected.upper()}",
                "correct vllm_image, or vllm_hardware",
            ),
            case.source("images"),
        )


def _machine(variant: str) -> str:
    """Return the kind of machine that a variant of the image is for."""
    first = variant.partition("-")[0]
    return "a2" if first in ("", "openeuler") else first


@rule("driver_release")
def _driver(case: Case) -> Iterator[Found]:
    oldest, driver = case["driver"]["oldest"], str(case.settings["npu_driver_version"])
    if oldest and compare(".".join(driver.split(".")[:2]), oldest) == -1:
        yield Found(
            WARN,
            Problem(
                f"vllm_npu_driver_version is {driver}, older than the CANN of vLLM-Ascend {case.release.name} supports",
                f"driver {oldest} or later",
                "install that driver and firmware first, and set vllm_npu_driver_version and "
                "vllm_npu_firmware_version, or choose an older vllm_release",
            ),
            case.source("driver"),
        )


@rule("quantization")
def _quantization(case: Case) -> Iterator[Found]:
    names = [name_of(case.settings[key]) for key in ("model_repo", "model_dir")]
    quantized = [name for name in names if QUANTIZED.search(name)]
    if case.is_head and quantized and not case.args.get("quantization") and not case["quantization_found"]:
        yield Found(
            WARN,
            Problem(
                f"the weights {quantized[0]} are quantized, and the flag quantization is not set",
                "quantization: ascend, as this release does not find it out by itself",
                "vllm_serve_args: {quantization: ascend}",
            ),
            case.source("quantization_found"),
        )


@rule("graph_mtp")
def _graph_mtp(case: Case) -> Iterator[Found]:
    speculative, graph = (mapping(case.args.get(f"{name}-config")) for name in ("speculative", "compilation"))
    tokens, sizes = speculative.get("num_speculative_tokens"), graph.get("cudagraph_capture_sizes")
    full = str(graph.get("cudagraph_mode", "")).upper().startswith("FULL")
    applies = case.is_head and case["draft_in_capture_sizes"] and full
    if applies and sizes and isinstance(sizes, list) and isinstance(tokens, int) and tokens + 1 not in sizes:
        yield Found(
            WARN,
            Problem(
                f"{tokens} speculative tokens with {graph['cudagraph_mode']}, and cudagraph_capture_sizes "
                f"without {tokens + 1}: this release fails on it",
                f"{tokens + 1} among the sizes",
                "add it, or leave cudagraph_capture_sizes out",
            ),
            case.source("draft_in_capture_sizes"),
        )
