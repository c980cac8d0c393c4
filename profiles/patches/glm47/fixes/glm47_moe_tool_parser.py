# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tool calls as GLM-4.7 writes them: no newline after the function's name, arguments optional. Put here by ascend_ops.vllm."""

import regex as re

from vllm.entrypoints.openai.protocol import DeltaFunctionCall, DeltaMessage, DeltaToolCall
from vllm.tool_parsers.glm4_moe_tool_parser import Glm4MoeModelToolParser


class Glm47MoeModelToolParser(Glm4MoeModelToolParser):
    """``<tool_call>NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>...</tool_call>``, any number of arguments."""

    def __init__(self, tokenizer):
        super().__init__(tokenizer)
        # The name goes without the space around it, and the arguments are an empty text if there are none: the base class cannot do with None.
        self.func_detail_regex = re.compile(r"<tool_call>\s*([^\s<].*?)(?:\\n|\s)*((?:<arg_key>.*?)?)</tool_call>", re.DOTALL)
        self.func_arg_regex = re.compile(r"<arg_key>(.*?)</arg_key>(?:\\n|\s)*<arg_value>(.*?)</arg_value>", re.DOTALL)

    def extract_tool_calls_streaming(self, previous_text, current_text, delta_text, previous_token_ids, current_token_ids, delta_token_ids, request):
        """Return what is new: all calls that the delta ends, where the base class leaves all but the first to later deltas."""

        def extract(text):
            return super(Glm47MoeModelToolParser, self).extract_tool_calls_streaming(
                previous_text, current_text, text, previous_token_ids, current_token_ids, delta_token_ids, request
            )

        after_a_call = self.current_tool_id > 0
        delta = extract(delta_text)
        while delta and delta.tool_calls and self.tool_call_end_token in self._buffer:
            more = extract("")
            if more is None:
                break
            delta.tool_calls += more.tool_calls
        if delta is None:  # not a call after all: content, as in an answer that is not streamed
            delta, self._buffer = DeltaMessage(content=self._buffer), ""
            del self.prev_tool_call_arr[self.current_tool_id :]  # where the base class has made room for it
        elif after_a_call:  # and what stands between calls is none
            delta.content = ""
        if delta.tool_calls and self._ends_answer(delta_token_ids):
            self._split_first(delta)
        return delta

    def _ends_answer(self, delta_token_ids):
        """Tell whether a token without text, one that ends the answer, follows the call."""
        return not self._buffer and bool(delta_token_ids) and delta_token_ids[-1] != self.tool_call_end_token_id

    @staticmethod
    def _split_first(delta):
        """Send the name apart from the arguments: of a call in the last delta, the server keeps only the arguments if they are with the name."""
        call = delta.tool_calls[0]
        name = DeltaToolCall(index=call.index, id=call.id, type=call.type, function=DeltaFunctionCall(name=call.function.name))
        arguments = DeltaToolCall(index=call.index, function=DeltaFunctionCall(arguments=call.function.arguments))
        delta.tool_calls[:1] = [name, arguments]
