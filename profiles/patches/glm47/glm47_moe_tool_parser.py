# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tool calls as GLM-4.7 writes them: no newline after the function's name. Put here by ascend_ops.vllm."""

import regex as re

from vllm.tool_parsers.glm4_moe_tool_parser import Glm4MoeModelToolParser


class Glm47MoeModelToolParser(Glm4MoeModelToolParser):
    """``<tool_call>NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>...</tool_call>``."""

    def __init__(self, tokenizer):
        super().__init__(tokenizer)
        self.func_detail_regex = re.compile(r"<tool_call>(.*?)(<arg_key>.*?)?</tool_call>", re.DOTALL)
        self.func_arg_regex = re.compile(r"<arg_key>(.*?)</arg_key>(?:\\n|\s)*<arg_value>(.*?)</arg_value>", re.DOTALL)
