# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The public lists of error codes against which the table of log signatures is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CodeList:
    """A list of the vendor's codes; ``rest`` says which of them the signatures leave out, and why."""

    name: str
    source: str
    codes: tuple[str, ...]
    rest: str = ""


def numbers(*ranges: tuple[int, int]) -> tuple[str, ...]:
    """Return the codes from the first to the last of each range."""
    return tuple(str(code) for first, last in ranges for code in range(first, last + 1))


LISTS = (
    CodeList(
        "HCCL (EI, EJ)",
        "https://gitcode.com/cann/hcomm, docs/en/error_codes",
        tuple([f"EI{number:04}" for number in range(1, 21)] + [f"EJ{number:04}" for number in range(1, 5)]),
    ),
    CodeList(
        "CANN's run time and driver (107xxx, 207xxx, 5xxxxx)",
        "https://github.com/Ascend/pytorch, torch_npu/csrc/core/npu/NPUErrorCodes.h",
        numbers(
            (107000, 107019),
            (207000, 207015),
            (207018, 207018),
            (500000, 500005),
            (507000, 507052),
            (507899, 507901),
        ),
    ),
    CodeList(
        "CANN's ACL interface (1000xx, 1480xx, 2000xx, 300000)",
        "https://github.com/Ascend/pytorch, torch_npu/csrc/core/npu/NPUErrorCodes.h",
        numbers((100000, 100045), (148046, 148052), (200000, 200007), (300000, 300000)),
        "They are about offline models, AIPP and image decoding, which vLLM does not use. Such a line is quoted as it is.",
    ),
    CodeList(
        "ascend-fd, the codes that its rules name",
        "https://github.com/Ascend/mind-cluster, component/ascend-faultdiag, kg-config.json",
        ("E19999", "E30008", "EI0002", "EI0003", "EI0004", "EI0005", "EI0006", "EI9999", "EJ0001", "EL0004"),
    ),
)
