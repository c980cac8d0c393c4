# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The form of each setting's value: what Docker, the hub or vLLM would refuse is refused before anything is done."""

from __future__ import annotations

import re
from typing import Any, Mapping, NamedTuple

from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import checks
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text import versions

PATH = r"/[^:,\n]*"  # Docker separates by the two


class Form(NamedTuple):
    """What a value, or each element of a list, or each key of a mapping, must look like."""

    pattern: str
    wanted: str


AN_ABSOLUTE_PATH = Form(PATH, "an absolute path on the host, without colon or comma")
A_MOUNT = Form(f"{PATH}(:{PATH}(:(ro|rw))?)?", "SOURCE[:TARGET[:ro]] of absolute paths")
A_VERSION = Form(r"\d+(\.\w+)+", "a version such as 25.2.1")
A_PATTERN = Form(r".+", "a shell pattern")
A_VARIABLE = Form(r"[A-Za-z_]\w*", "names of environment variables")
A_FLAG = Form(r"[a-zA-Z][a-zA-Z0-9-]*(\..+)?", "flags of vllm serve without the leading --, and with - for _")
A_NUMBER = Form(r"\d+", "0 or more")

FORMS = {
    "model_repo": Form(r"[\w.-]+/[\w.-]+", "OWNER/NAME, as on the hub"),
    "model_revision": Form(r"\S+", "a branch, a tag or a commit of the repository"),
    "model_endpoint": Form(r"https?://[^\s/]+(/\S*)?", "a URL such as https://www.modelscope.cn"),
    "model_include": A_PATTERN,
    "model_exclude": A_PATTERN,
    "model_dir": AN_ABSOLUTE_PATH,
    "model_cache_dir": AN_ABSOLUTE_PATH,
    "model_size_gb": A_NUMBER,
    "image": Form(
        r"([\w.-]+(:\d+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*(:[\w.-]{1,128})?(@sha256:[0-9a-f]{64})?",
        "an image as `docker pull` takes it",
    ),
    "image_versions": Form(r"[a-z_]+", "names such as torch_npu"),
    "image_size_gb": A_NUMBER,
    "airgap_dir": AN_ABSOLUTE_PATH,
    "host_memory_gb": A_NUMBER,
    "npu_ids": Form(r"\d+", "numbers, the N of /dev/davinciN"),
    "npu_hbm_mb": A_NUMBER,
    "npu_driver_version": A_VERSION,
    "npu_firmware_version": A_VERSION,
    "npu_control_devices": Form(PATH, "absolute paths of device nodes"),
    "container_name": Form(r"[a-zA-Z0-9][\w.-]+", "letters, digits and _ . - as in a name for Docker"),
    "container_env": A_VARIABLE,
    "container_mounts": A_MOUNT,
    "container_extra_mounts": A_MOUNT,
    "container_shm_size": Form(r"\d+(\.\d+)?\s*[kKmMgGtT]?[bB]?", "a size such as 1g"),
    "container_ulimits": Form(r"[a-z]+(:-?\d+){1,2}", "NAME:SOFT[:HARD], such as memlock:-1:-1"),
    "container_restart_policy": Form(
        r"no|always|unless-stopped|on-failure", "no, always, unless-stopped or on-failure"
    ),
    "served_model_name": Form(r"\S+", "a name without blanks"),
    "serve_env_scripts": Form(PATH, "absolute paths in the container"),
    "serve_env": A_VARIABLE,
    "serve_args": A_FLAG,
    "serve_worker_args": A_FLAG,
    "patch_dir": Form(PATH, "an absolute path in the container"),
}


def errors(settings: Mapping[str, Any]) -> list[str]:
    """Return a message for each value among the merged *settings* that has not the form it must have."""
    found = []
    for key, form in FORMS.items():
        value = settings[key]
        parts = [] if value is None else list(value) if isinstance(value, (list, dict)) else [value]
        bad = [part for part in parts if isinstance(part, bool) or not re.fullmatch(form.pattern, str(part))]
        verb = "has" if isinstance(value, (list, dict)) else "is"
        found += [f"vllm_{key} {verb} {part!r}, wanted {form.wanted}: correct it." for part in bad]
    if len(set(map(str, settings["npu_ids"]))) < len(settings["npu_ids"]):
        found.append(f"vllm_npu_ids is {settings['npu_ids']}, wanted each number once: correct it.")
    for key in ("container_env", "serve_env"):
        found += [
            f"vllm_{key} has {name}: {value!r}, wanted a string or a number: correct it."
            for name, value in settings[key].items()
            if isinstance(value, (list, dict))
        ]
    for name, wanted in settings["image_versions"].items():
        if not versions.is_condition(str(wanted)):
            found.append(
                f"vllm_image_versions has {name}: {wanted!r}, wanted a version or conditions such as >=3.10,<3.12: correct it."
            )
    return found + [
        f"vllm_probe: {text}: correct it." for text in checks.conversation_errors(settings["probe"])
    ]
