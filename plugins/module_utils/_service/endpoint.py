# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP to an endpoint of vLLM, never through a proxy."""

from __future__ import annotations

import re
import time
import traceback
from typing import Any, Tuple, Union

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import metrics
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.api import (
    ENGINE_HEADER,
    Answer,
    Request,
    Stream,
    shorten,
)

REQUESTS_ERROR: str | None = None
NO_ANSWER: tuple[type[Exception], ...] = ()
try:
    import requests

    NO_ANSWER = (requests.RequestException, ValueError)  # the latter for a redirect to what is no URL
except ImportError:
    REQUESTS_ERROR = traceback.format_exc()

# That an answer of /health or /metrics may take. Under load, the API was seen to need 40 s for one, because it has one
# event loop for all: https://github.com/vllm-project/vllm/pull/38157
HEALTH_SECONDS = 60
# The slowest report from the field: 400 ms a token. An answer that is not streamed gets so long for each.
SECONDS_PER_TOKEN = 1.0
STREAM_SECONDS = 600  # after which a stream has proved what it can, and is closed

Timeout = Union[float, Tuple[float, float]]  # for both, or for the connection and for each piece of an answer


def require_requests(module: AnsibleModule) -> None:
    """Fail if the host does not have the Python library."""
    if REQUESTS_ERROR:
        module.fail_json(msg=missing_required_lib("requests"), exception=REQUESTS_ERROR)


def fail(module: AnsibleModule, msg: str, **facts: Any) -> None:
    """Fail because of the service. In check mode skip, as a real run may start or change it before."""
    if module.check_mode:
        module.exit_json(changed=False, skipped=True, msg=msg, **facts)
    module.fail_json(msg=msg, **facts)


class Client:
    """A client of the endpoint at *url*. *silence*: seconds in which something must arrive.

    *longest*: seconds after which a stream is closed. *first*: seconds in which something must arrive as long as an
    engine has answered nobody, since it may compile its kernels then. While it does, the others wait for it.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        silence: float = HEALTH_SECONDS,
        longest: float = STREAM_SECONDS,
        first: float = 0,
    ) -> None:
        self._url = url.rstrip("/")
        self._api_key = api_key
        self._silence = silence
        self._longest = longest
        self._first = first

    def health(self, connect: float = HEALTH_SECONDS) -> Answer:
        """Return the answer of /health. *connect*: seconds in which the host must accept the connection."""
        return self.ask(Request("/health"), (connect, HEALTH_SECONDS))

    def metrics(self) -> Answer:
        """Return the answer of /metrics."""
        return self.ask(Request("/metrics"), HEALTH_SECONDS)

    def ask(self, request: Request, timeout: Timeout | None = None) -> Answer:
        """Return the answer to a request, streamed if the request says so.

        One that is not streamed is silent until it is complete, so its time depends on its tokens.
        """
        body = request.body or {}
        silence = self._patience() if request.body else self._silence
        if body.get("stream"):
            return self._stream(request, silence)
        began = time.monotonic()
        seconds = timeout or silence + SECONDS_PER_TOKEN * body.get("max_tokens", 0)
        try:
            with self._send(request, seconds) as response:
                text = response.content.decode("utf-8", "replace")
                return Answer(response.status_code, text, time.monotonic() - began)
        except NO_ANSWER as error:
            return Answer(0, "", time.monotonic() - began, transport_error(error))

    def _patience(self) -> float:
        """Return the seconds in which something must arrive now."""
        first = self._first  # another thread may set it to 0 meanwhile
        if first > self._silence:
            answer = self.metrics()
            counts = metrics.answered(answer.text)
            if not answer.status or (counts and not all(counts.values())):
                return first
            self._first = 0  # all have answered, or the metrics do not say
        return self._silence

    def _stream(self, request: Request, silence: float) -> Answer:
        began, stream = time.monotonic(), Stream()
        status, error = 0, ""
        try:
            with self._send(request, silence, stream=True) as response:
                status = response.status_code
                for line in response.iter_lines():
                    now = time.monotonic() - began
                    stream.feed(line.decode("utf-8", "replace"), now)
                    stream.closed = now > self._longest
                    # The API may keep the connection alive while its engine hangs.
                    error = f"no token for {silence:g} s" if now - stream.heard > silence else ""
                    if stream.closed or error:
                        break
        except NO_ANSWER as exception:
            error = transport_error(exception)
            if isinstance(exception, requests.Timeout) or "timed out" in str(exception):
                error = f"no token for {silence:g} s"
        return Answer(status, stream.rest, time.monotonic() - began, error, stream)

    def _send(self, request: Request, timeout: Timeout, stream: bool = False) -> Any:
        session = requests.Session()
        session.trust_env = False
        headers = {} if request.engine is None else {ENGINE_HEADER: str(request.engine)}
        if self._api_key and request.with_key:
            headers["Authorization"] = f"Bearer {self._api_key}"
        return session.request(
            "GET" if request.body is None else "POST",
            self._url + request.path,
            json=request.body,
            headers=headers,
            timeout=timeout,
            stream=stream,
        )


def transport_error(error: Exception) -> str:
    """Return in a few words why there is no answer."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    system = re.search(r"\[Errno -?\d+\] ([^'\")]+)", str(error))
    return system.group(1).strip().lower() if system else shorten(f"{type(error).__name__}: {error}")
