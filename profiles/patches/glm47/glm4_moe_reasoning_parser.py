# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thinking as GLM-4.7 writes it: the prompt has the opening tag, the answer only the closing one. Put here by ascend_ops.vllm."""

from vllm.reasoning.holo2_reasoning_parser import Holo2ReasoningParser


class Glm4MoeModelReasoningParser(Holo2ReasoningParser):
    """All before ``</think>`` is reasoning, also when the answer was cut before it; with thinking off, all is content."""
