# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tool calls of GLM-4.5 and 4.7 in a stream with several tokens in a delta. Put here by ascend_ops.vllm."""

from vllm.entrypoints.openai.engine.protocol import DeltaMessage, DeltaToolCall
from vllm.tool_parsers.glm4_moe_tool_parser import Glm4MoeModelToolParser


class Glm4MoeStreamingParser(Glm4MoeModelToolParser):
    """Returns all that a delta has, where the base class returns the first part and leaves the others to later deltas."""

    def extract_tool_calls_streaming(self, previous_text, current_text, delta_text, previous_token_ids, current_token_ids, delta_token_ids, request):
        """Return what is new, or None. There may be no later delta, so the base class is asked until it has nothing more."""
        parts, buffer = [], None
        while True:
            part = super().extract_tool_calls_streaming(
                previous_text, current_text, delta_text, previous_token_ids, current_token_ids, delta_token_ids, request
            )
            if part is None and self._buffer == buffer:
                break
            parts.append(part)
            buffer, delta_text = self._buffer, ""
        # With the last delta, the server sends what it misses of these. The base class has {} until a call ends, and then other spaces.
        for call, arguments in zip(self.prev_tool_call_arr, self.streamed_args_for_tool):
            call["arguments"] = arguments
        return self._joined([part for part in parts if part])

    def _joined(self, parts):
        """Return one delta of all parts, with one entry for each call."""
        content = "".join(part.content or "" for part in parts)
        calls = {}
        for new in (call for part in parts for call in part.tool_calls):
            call = calls.setdefault(new.index, new)
            if call is not new:
                call.function.arguments = (call.function.arguments or "") + new.function.arguments
        calls = list(calls.values())
        if not calls:
            return DeltaMessage(content=content) if content else None
        if len(calls) > 1 or content:
            self._split_first(calls)
        return DeltaMessage(content=content, tool_calls=calls) if content else DeltaMessage(tool_calls=calls)

    @staticmethod
    def _split_first(calls):
        """Send the first call's arguments apart: of a last delta that begins with arguments, the server sends the last call and nothing else."""
        first = calls[0].model_dump(exclude_unset=True)
        arguments = {"arguments": first["function"].pop("arguments", "")}
        calls[:1] = [DeltaToolCall(**first), DeltaToolCall(index=first["index"], function=arguments)]
