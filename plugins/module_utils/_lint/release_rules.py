# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules on image, driver and weights, and on faults of a release."""

from __future__ import annotations

import re
from typing import Iterator

from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import FAIL, WARN
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint.case import Case, mapping
from ansible_collections.ascend_ops.vllm.plugins.module_utils._lint.registry import Found, Rules
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.model import UNPACKED, name_of
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.versions import compare, differences

rules = Rules()
QUANTIZED = re.compile(r"[-_.]w\d+a\d+", re.IGNORECASE)
# Kinds of machines by the names that npu-smi shows of their NPUs.
NPUS = {
    "a2": re.compile(r"910B\d"),
    "a3": re.compile(r"(Ascend)?910_?93|Ascend910$"),
    "310p": re.compile(r"(Ascend)?310P"),
}
IMAGE_TAG = re.compile(r":v(?P<release>\d[^-@]*)(?P<variant>(-(a\d|310p))?(-openeuler)?)(@.*)?$")
MOVING_TAG = re.compile(r"(?:^|/)[^/:@]+(?::latest)?$")  # a colon before the last slash is a port's


@rules.named("release_versions")
def _versions(case: Case) -> Iterator[Found]:
    given = {name: str(value) for name, value in case.settings["image_versions"].items()}
    row = {name: case[name] for name in ("cann", "torch", "vllm") if case[name] is not None}
    plain = {name: given[name] for name in row if name in given and given[name][0].isdigit()}
    for name, version in differences(plain, {name: row[name] for name in plain}).items():
        yield Found(
            WARN,
            f"vllm_image_versions has {name}: {version}, with vllm_ascend {case.release.name}",
            f"{name} {row[name]}, as in its image",
            f"set vllm_release to the release of your image, or correct vllm_image_versions: {{{name}: …}}",
            case.source(name),
        )


@rules.named("release_image")
def _image(case: Case) -> Iterator[Found]:
    """Tags that do not follow upstream's scheme say nothing."""
    image = case.settings["image"]
    if MOVING_TAG.search(image):
        yield Found(
            WARN,
            f"vllm_image is {image}: Docker takes the tag latest, which names another image from time to time",
            f"a tag of one release, such as v{case.release.name}, or a digest",
            f"write vllm_image: {image.partition(':latest')[0]}:TAG",
            case.source("images"),
        )
    tag = IMAGE_TAG.search(image)
    if not tag:
        return
    if tag["release"] != case.release.name:
        yield Found(
            WARN,
            f"vllm_image has release {tag['release']} in its tag",
            f"{case.release.name}, as vllm_image_versions says",
            f"set vllm_release: {tag['release']}; for a release without a row in the table, "
            "set vllm_image_versions to the versions in the image",
            case.source("images"),
        )
    machine, expected = _machine(tag["variant"].lstrip("-")), _machine(case.settings["image_variant"])
    if machine != expected:
        yield Found(
            WARN,
            f"the tag of vllm_image is for {machine.upper()}, and {case.settings['npu_name']} is {expected.upper()}",
            f"the image for {expected.upper()}",
            "correct vllm_image, or vllm_hardware",
            case.source("images"),
        )


@rules.named("npu_image")
def _npu(case: Case) -> Iterator[Found]:
    """The operators in an image are built for one kind of NPU."""
    name = str(case.settings["npu_name"])
    machine = next((kind for kind, pattern in NPUS.items() if pattern.match(name)), None)
    chosen = _machine(case.settings["image_variant"])
    if machine and machine != chosen:
        yield Found(
            WARN,
            f"vllm_image_variant is {case.settings['image_variant']}, and vllm_npu_name is {name}, which is "
            f"of Atlas {machine.upper()}",
            f"an image for {machine.upper()}",
            f"set vllm_image to one for {machine.upper()}, and leave out vllm_image_variant"
            if machine == "310p"
            else f"vllm_image_variant: {machine}, or correct vllm_npu_name and vllm_hardware",
            case.source("images"),
        )


def _machine(variant: str) -> str:
    """Return the kind of machine that a variant of the image is for."""
    first = variant.partition("-")[0]
    return "a2" if first in ("", "openeuler") else first


@rules.named("driver_release")
def _driver(case: Case) -> Iterator[Found]:
    oldest, driver = case["driver"]["oldest"], str(case.settings["npu_driver_version"])
    if oldest and compare(".".join(driver.split(".")[:2]), oldest) == -1:
        yield Found(
            WARN,
            f"vllm_npu_driver_version is {driver}, older than the CANN of vLLM-Ascend {case.release.name} supports",
            f"driver {oldest} or later",
            "install that driver and firmware first, and set vllm_npu_driver_version and "
            "vllm_npu_firmware_version, or choose an older vllm_release",
            case.source("driver"),
        )


@rules.named("quantization")
def _quantization(case: Case) -> Iterator[Found]:
    names = [name_of(case.settings[key]) for key in ("model_repo", "model_dir")]
    quantized = [name for name in names if QUANTIZED.search(name)]
    if case.is_head and quantized and not case.args.get("quantization") and not case["quantization_found"]:
        yield Found(
            WARN,
            f"the weights {quantized[0]} are quantized, and the flag quantization is not set",
            "quantization: ascend, because this release does not detect quantized weights",
            "vllm_serve_args: {quantization: ascend}",
            case.source("quantization_found"),
        )


@rules.named("quantization_method")
def _quantization_method(case: Case) -> Iterator[Found]:
    """Of the flag, or else of the files: vLLM asks the platform whether it takes the method."""
    taken, flag = case.release.quantizations, case.args.get("quantization")
    own = mapping(case.model.get("quantization_config")).get("quant_method")
    method, place = (flag, "quantization is") if flag else (own, "the model's quantization_config has")
    unpacked = not flag and case.model.get("model_type") in UNPACKED
    if case.is_head and isinstance(method, str) and taken and method not in taken and not unpacked:
        yield Found(
            FAIL,
            f"{place} {method}, which vLLM-Ascend {case.release.name} does not take, and so it does not start",
            f"one of {', '.join(taken)}",
            "take weights that are not quantized, or that msModelSlim (ascend) or LLM Compressor "
            "(compressed-tensors) made for Ascend",
            case.source("settings"),
        )


@rules.named("graph_mtp")
def _graph_mtp(case: Case) -> Iterator[Found]:
    speculative, graph = (mapping(case.args.get(f"{name}-config")) for name in ("speculative", "compilation"))
    tokens, sizes = speculative.get("num_speculative_tokens"), graph.get("cudagraph_capture_sizes")
    full = str(graph.get("cudagraph_mode", "")).upper().startswith("FULL")
    applies = case.is_head and case["draft_in_capture_sizes"] and full
    if applies and sizes and isinstance(sizes, list) and isinstance(tokens, int) and tokens + 1 not in sizes:
        yield Found(
            WARN,
            f"{tokens} speculative tokens with {graph['cudagraph_mode']}, and cudagraph_capture_sizes "
            f"without {tokens + 1}: this release fails on it",
            f"{tokens + 1} among the sizes",
            "add it, or leave cudagraph_capture_sizes out",
            case.source("draft_in_capture_sizes"),
        )
