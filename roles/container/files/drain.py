# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Middleware of vLLM's API server: refuses new requests while the supervisor waits for the running ones.

vLLM loads it by its flag `--middleware`. The supervisor adds that flag, and creates the file whose path is in
ASCEND_OPS_DRAINING when it begins to wait.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

MESSAGE = "The service is being stopped and accepts no new requests."
BODY = json.dumps({"error": {"message": MESSAGE, "type": "ServiceUnavailable", "param": None, "code": 503}})


class Refusal:
    """An ASGI application around vLLM's. It leaves running answers alone, and the connection of each."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._draining = os.environ["ASCEND_OPS_DRAINING"]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it with status 503.

        So does /health, by which a load balancer notices. The supervisor counts what is left in /metrics.
        """
        passes = scope["type"] != "http" or scope["path"].endswith("/metrics")
        if passes or not os.path.exists(self._draining):
            await self._app(scope, receive, send)
            return
        # All of it: a connection that is closed before that is reset, and the client may not see the answer.
        while (await receive()).get("more_body"):
            pass
        body = BODY.encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": body})
