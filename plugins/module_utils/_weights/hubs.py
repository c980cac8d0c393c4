# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of servers that have weights, by the names that settings have for them."""

from __future__ import annotations

from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.hub import Hub
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.huggingface import HuggingFace
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.web_folder import WebFolder

HUBS = {"modelscope": Hub, "huggingface": HuggingFace, "http": WebFolder}
