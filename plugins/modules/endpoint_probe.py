#!/usr/bin/python
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: endpoint_probe
short_description: Wait for an OpenAI-compatible endpoint of vLLM and prove that it works
description:
  - Waits until the endpoint is ready and says in which stage of its start the service is. Ends at once when the
    container that is watched dies, with the cause from its log.
  - Then proves what a user needs; C(/health) alone proves nothing, because vLLM keeps answering 200 there when an engine is gone.
  - Reports all failed checks in one message.
version_added: 0.1.0
options:
  url:
    description: Base URL of the endpoint, without C(/v1). Proxies of the environment are not used.
    type: str
    required: true
  model:
    description: Name under which the model is served.
    type: str
    required: true
  api_key:
    description: API key of the endpoint, if it wants one.
    type: str
  checks:
    description:
      - What to prove. An empty list only waits until the endpoint is ready.
      - "C(health): C(/health) answers 200. C(models): the model is listed under its name."
      - "C(completion): each of O(engines) engines answers, seen by its counter in C(/metrics)."
      - "C(chat): a whole answer with content, without markup and loops. C(reasoning): the thinking of the same answer is in its own
        field, C(reasoning) or C(reasoning_content). C(streaming): an answer as events, measured."
      - "C(thinking_off): content and no thinking when the request asks for none."
      - "C(tool_call), C(tool_call_no_arguments): the call is parsed, with arguments that fit the tool's schema."
      - "C(wrong_model): a model that is not there is answered with 404. C(key_refused): a request without the API key is answered
        with 401; left out if there is no O(api_key)."
    type: list
    elements: str
    choices:
      - health
      - models
      - completion
      - chat
      - streaming
      - reasoning
      - thinking_off
      - tool_call
      - tool_call_no_arguments
      - wrong_model
      - key_refused
    default:
      - health
      - models
      - completion
      - chat
      - streaming
      - reasoning
      - thinking_off
      - tool_call
      - tool_call_no_arguments
      - wrong_model
      - key_refused
  engines:
    description: Number of data parallel engines that must each answer.
    type: int
    default: 1
  requests:
    description:
      - What the checks C(completion), C(chat) (C(reasoning) judges the same answer), C(streaming), C(thinking_off), C(tool_call) and
        C(tool_call_no_arguments) send and expect, by the name of the check. What is not given has a default that fits any chat model.
      - "C(request): keys of the body of C(/v1/chat/completions), each replacing the default one, such as C(messages), C(max_tokens),
        C(tools), C(chat_template_kwargs)."
      - "C(expect): exact C(content) and C(reasoning) of an answer, C(name) and C(arguments) of a call. Without them the form is judged."
    type: dict
    default: {}
  timeout:
    description: Seconds that one answer may take.
    type: int
    default: 300
  wait:
    description:
      - Seconds until the endpoint must be ready, that is, answer C(/health) with 200; 0 does not wait.
      - Run as a task, the stage of each host is shown while waiting, and the wait ends for all hosts of the task when it fails on one.
    type: int
    default: 0
  container:
    description:
      - Name of the service's Docker container on this host. Its death ends the wait, and its log tells stage and cause.
      - On a host whose engine has no API of its own, O(url) is that of the head and O(container) the local one.
    type: str
requirements:
  - requests (Python library) on the host that runs the module
  - docker (command) there, if O(container) is given
author:
  - ascend_ops.vllm contributors (@ascend-ops)
notes:
  - In check mode the task is skipped, with the message, where it would fail, for the service may be one that a real run would make or change.
attributes:
  check_mode:
    description: Changes nothing, so it does the same in check mode, without waiting.
    support: full
  diff_mode:
    description: Has nothing to show a difference of.
    support: none
"""

EXAMPLES = r"""
- name: The service answers as it should on both engines
  ascend_ops.vllm.endpoint_probe:
    url: http://192.0.2.10:8080
    model: glm47
    engines: 2

- name: The service is ready within an hour, or has told why not
  ascend_ops.vllm.endpoint_probe:
    url: http://192.0.2.10:8080
    model: glm47
    container: vllm-ascend-v0.13.0rc1
    wait: 3600
    checks: []

- name: The model knows its name, asked from the controller
  delegate_to: localhost
  ascend_ops.vllm.endpoint_probe:
    url: https://llm.example.com
    model: glm47
    api_key: "{{ vault_llm_api_key }}"
    checks: [chat, key_refused]
    requests:
      chat:
        request:
          messages:
            - role: user
              content: Who are you? Answer with your name only.
"""

RETURN = r"""
ready:
  description: Whether C(/health) answered 200.
  returned: always
  type: bool
died:
  description: Whether the watched container died.
  returned: always
  type: bool
checks:
  description: What each check found.
  returned: when the endpoint is ready
  type: dict
  sample:
    health: {ok: true, detail: HTTP status 200, seconds: 0.004}
    tool_call: {ok: true, detail: 'get_weather({"city": "Oslo"})', seconds: 1.9}
engines:
  description: How many requests each engine answered while it was probed, by its data parallel rank.
  returned: with the check C(completion)
  type: dict
  sample: {"0": 3, "1": 4}
ttft:
  description: Seconds from request to first token, measured with no other request of this probe running.
  returned: with the check C(streaming)
  type: float
tokens_per_second:
  description: Tokens per second of one stream after its first token.
  returned: with the check C(streaming)
  type: float
gap_p50:
  description: Median of the seconds between two pieces of the stream.
  returned: with the check C(streaming)
  type: float
gap_p99:
  description: 99th percentile of the seconds between two pieces of the stream.
  returned: with the check C(streaming)
  type: float
answer:
  description: The answer to the request of the check C(chat).
  returned: with the checks C(chat) or C(reasoning)
  type: dict
  contains:
    reasoning:
      description: The thinking.
      type: str
    content:
      description: The answer itself.
      type: str
stage:
  description: Stage of the start in which the service is, C(serving) if the endpoint is ready, null if unknown.
  returned: always
  type: str
  sample: weights
progress:
  description: That stage in words.
  returned: when it is not ready
  type: str
  sample: loading weights, 37% (34 of 92 files)
timeline:
  description: Stages that the start went through, from the container's log, with the seconds from its start.
  returned: with O(container), unless the endpoint was ready at once
  type: list
  elements: dict
  sample:
    - {stage: starting, title: "container started, Python and vLLM load", progress: "", seconds: 0.0}
    - {stage: weights, title: loading weights, progress: 100% (92 of 92 files), seconds: 41.3}
findings:
  description: What the container's log says went wrong, first cause first.
  returned: on failure, with O(container)
  type: list
  elements: dict
  contains:
    id:
      description: Name of the signature.
      type: str
    severity:
      description: C(fatal), C(warning), or C(past) if it was ready afterwards.
      type: str
    kind:
      description: C(cause), C(peer) (the trace of another host's failure), C(echo) (of a failure told before) or C(warning).
      type: str
    at:
      description: When the line was written, in seconds since 1970.
      type: float
    cause:
      description: What it means.
      type: str
    remedy:
      description: What to do.
      type: str
    line:
      description: The line of the log.
      type: str
    source:
      description: Where the signature comes from.
      type: str
cause:
  description: The first of the findings over all hosts of the task, as each of them is in RV(findings), and C(host), which it is from.
  returned: when the service failed while the task waited for it, and a log says something of it
  type: dict
"""

import json
import re
import socket
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import checks, diagnosis, vllm_log

try:
    import requests

    REQUESTS_ERROR = None
except ImportError:
    REQUESTS_ERROR = traceback.format_exc()

POLL_SECONDS = 0.5
SETTLE_SECONDS = 2  # from the first fatal line until the whole traceback is in the log
HEALTH_TIMEOUT = 5
ENGINE_ROUNDS = 3
METRICS_POLL_SECONDS = 0.1
METRICS_SECONDS = 3  # vLLM counts a request shortly after it has answered it
LOG_LINES = 20000
TAIL_LINES = 12


class Client:
    """Talks to the endpoint, never through a proxy."""

    def __init__(self, url, api_key, timeout):
        self.url = url.rstrip("/")
        self.api_key = api_key
        self.timeout = timeout

    def ask(self, request, timeout=None):
        """Return the answer to a request."""
        began = time.monotonic()
        try:
            with self._send(request, timeout or self.timeout) as response:
                return checks.Answer(
                    response.status_code,
                    response.content.decode("utf-8", "replace"),
                    time.monotonic() - began,
                )
        except requests.RequestException as exc:
            return checks.Answer(0, "", time.monotonic() - began, transport_error(exc))

    def stream(self, request):
        """Return the answer to a request, and the stream of events that it is."""
        began, stream = time.monotonic(), checks.Stream()
        status, error = 0, ""
        try:
            with self._send(request, self.timeout, stream=True) as response:
                status = response.status_code
                for line in response.iter_lines():
                    stream.feed(line.decode("utf-8", "replace"), time.monotonic() - began)
                    if time.monotonic() - began > self.timeout:
                        error = f"a stream without end after {self.timeout} s"
                        break
        except requests.RequestException as exc:
            error = transport_error(exc)
        return checks.Answer(status, stream.rest, time.monotonic() - began, error), stream

    def engine_counts(self):
        """Return how many requests each engine has answered so far."""
        return checks.engine_counts(self.ask(checks.Request("/metrics")).text)

    def _send(self, request, timeout, stream=False):
        session = requests.Session()
        session.trust_env = False
        headers = {} if request.engine is None else {checks.ENGINE_HEADER: str(request.engine)}
        if self.api_key and request.with_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        method = "GET" if request.body is None else "POST"
        return session.request(
            method,
            self.url + request.path,
            json=request.body,
            headers=headers,
            timeout=timeout,
            stream=stream,
        )


def transport_error(exc):
    """Return in a few words why there is no answer."""
    if isinstance(exc, requests.Timeout):
        return "no answer in time"
    system = re.search(r"\[Errno -?\d+\] ([^'\")]+)", str(exc))
    return system.group(1).strip().lower() if system else checks.shorten(f"{type(exc).__name__}: {exc}")


class ContainerDied(Exception):
    """The watched container does not run, or vLLM in it has ended or cannot begin."""


class Watch:
    """Follows a container of this host: its state, and its log since it was started."""

    def __init__(self, module, name):
        self.module = module
        self.name = name
        self.lines = []
        self.first = None
        self._seen = ""

    def look(self):
        """Raise ContainerDied if the container does not run, or is no longer the run first seen."""
        state = self._inspect()
        self.first = self.first or state
        if not state["Running"] or state["Restarting"]:
            killed = ", killed for lack of memory" if state["OOMKilled"] else ""
            error = f" ({state['Error']})" if state["Error"] else ""
            raise ContainerDied(f"{state['Status']}, exit code {state['ExitCode']}{killed}{error}")
        if state["StartedAt"] != self.first["StartedAt"]:
            raise ContainerDied(f"ended and was started again, {state['RestartCount']} restarts")

    def read(self):
        """Take the new lines of the log. Raise ContainerDied if vLLM says in one of them that it ended."""
        if any(diagnosis.is_end(line) for line in self._new_lines()):
            time.sleep(SETTLE_SECONDS)
            self._new_lines()
            raise ContainerDied("vLLM in it has ended")
        if self.lines and diagnosis.is_without_head(self.lines[-1], time.time()):
            raise ContainerDied("it has no link to the head")

    def timeline(self):
        """Return the stages of the start so far."""
        return vllm_log.timeline(self.lines, vllm_log.epoch(self.first["StartedAt"]))

    def findings(self):
        """Return what the log says went wrong, first cause first."""
        self._new_lines()
        found = diagnosis.sort_findings(diagnosis.findings(socket.gethostname(), self.lines))
        return [dict(finding.data(), kind=finding.kind, at=finding.at) for finding in found]

    def _inspect(self):
        done, out, err = self._docker(
            "inspect",
            "--type",
            "container",
            "--format",
            '{"State":{{json .State}},"RestartCount":{{.RestartCount}}}',
            self.name,
        )
        if done:
            raise ContainerDied("docker inspect said " + repr(err.strip()))
        found = json.loads(out)
        return dict(found["State"], RestartCount=found["RestartCount"])

    def _new_lines(self):
        if not self.first:
            return []
        since = self._seen or self.first["StartedAt"]
        _rc, out, err = self._docker(
            "logs", "--timestamps", "--tail", str(LOG_LINES), "--since", since, self.name
        )
        new, self._seen = vllm_log.docker_lines(out + err, self._seen)
        self.lines.extend(new)
        return new

    def _docker(self, *args):
        docker = self.module.get_bin_path("docker", required=True)
        return self.module.run_command([docker, *args], errors="surrogate_then_replace")


def wait_until_ready(client, watch, seconds):
    """Return the first answer of /health that is a success, or the last one when the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        if watch:
            watch.look()
        answer = client.ask(checks.Request("/health"), timeout=HEALTH_TIMEOUT)
        if watch and (
            watch.lines or answer.status != 200
        ):  # a service found ready needs no reading of its old log
            watch.read()
        if answer.status == 200 or time.monotonic() >= deadline:
            return answer
        time.sleep(POLL_SECONDS)


def each_engine(client, request, engines):
    """Return the verdict on all engines, and how many requests each answered meanwhile.

    Each is asked by its rank. A server that does not know that header spreads the requests as it likes, so more rounds are tried.
    """
    before = client.engine_counts()
    asked = [request._replace(engine=rank) for rank in range(engines)]
    with ThreadPoolExecutor(engines) as pool:
        for _round in range(ENGINE_ROUNDS):
            answers = list(pool.map(client.ask, asked))
            grown = growth(client, before, engines) if all(answer.status == 200 for answer in answers) else {}
            verdict = checks.judge_engines(answers, grown, engines)
            if verdict.ok or not grown:
                break
    return verdict, grown


def growth(client, before, engines):
    """Return by how much the counters of the engines grew, once all did or the time is over."""
    deadline = time.monotonic() + METRICS_SECONDS
    while True:
        grown = {engine: count - before.get(engine, 0) for engine, count in client.engine_counts().items()}
        if not checks.silent_engines(grown, engines) or time.monotonic() >= deadline:
            return grown
        time.sleep(METRICS_POLL_SECONDS)


def prove(client, names, model, talks, engines):
    """Return for each check its verdict and seconds, and the facts that came up by the way."""
    results, facts = {}, {}
    if "streaming" in names:  # alone, for the sake of its figures
        answer, stream = client.stream(checks.request("streaming", model, talks))
        results["streaming"] = checks.judge_stream(answer, stream, talks["streaming"].expect), answer.seconds
        facts.update(stream.figures())
    with ThreadPoolExecutor(len(names)) as pool:
        asked = {}
        for name in names:
            if name not in ("streaming", "completion"):
                request = checks.request(name, model, talks)
                asked[name] = (
                    asked["chat"]
                    if name == "reasoning" and "chat" in asked
                    else pool.submit(client.ask, request)
                )
        if "completion" in names:
            began = time.monotonic()
            verdict, facts["engines"] = each_engine(
                client, checks.request("completion", model, talks), engines
            )
            results["completion"] = verdict, time.monotonic() - began
        for name, future in asked.items():
            answer = future.result()
            results[name] = checks.judge(name, answer, model, talks), answer.seconds
            if name in ("chat", "reasoning"):
                facts["answer"] = checks.shown(answer)
    return {name: results[name] for name in names}, facts


def start_facts(watch):
    """Return how far the start has come, as the container's log tells."""
    if not watch or not watch.first:
        return {"stage": None, "progress": "no answer yet", "timeline": []}
    timeline = watch.timeline()
    last = timeline[-1]
    progress = ", ".join(part for part in (last["title"], last["progress"]) if part)
    return {"stage": last["stage"], "progress": progress, "timeline": timeline}


def where(params):
    """Return the place that a message is about."""
    watched = f", container {params['container']}" if params["container"] else ""
    return f"Endpoint {params['url']}, asked from {socket.gethostname()}{watched}"


def died_message(params, reason, start, findings, lines):
    """Return what to tell of a container that died."""
    said = f"{where(params)}: {reason}; stage: {start['progress']}. Wanted: it runs and serves."
    cause = f"Its log names no cause. See `docker logs {params['container']}`."
    if findings:
        cause = "Cause: {cause}. {remedy}.\nLine: {line}".format(**findings[0])
    tail = "\n".join(f"  {line.text}" for line in lines[-TAIL_LINES:])
    return f"{said}\n{cause}\nLast lines of its log:\n{tail}"


def not_ready_message(params, answer, start):
    """Return what to tell of an endpoint that is not ready in time."""
    found = answer.error or f"HTTP status {answer.status}"
    hint = (
        vllm_log.remedy(start["stage"])
        if start["stage"]
        else "See that the service runs and that its port can be reached from this host"
    )
    return f"{where(params)}: not ready: {found}; stage: {start['progress']}. Wanted: /health answers 200. To do: {hint}."


def main():
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "model": {"type": "str", "required": True},
            "api_key": {"type": "str", "no_log": True},
            "checks": {
                "type": "list",
                "elements": "str",
                "choices": list(checks.CHECKS),
                "default": list(checks.CHECKS),
            },
            "engines": {"type": "int", "default": 1},
            "requests": {"type": "dict", "default": {}},
            "timeout": {"type": "int", "default": 300},
            "wait": {"type": "int", "default": 0},
            "container": {"type": "str"},
        },
        supports_check_mode=True,
    )
    params = module.params
    if REQUESTS_ERROR:
        module.fail_json(msg=missing_required_lib("requests"), exception=REQUESTS_ERROR)
    errors = checks.conversation_errors(params["requests"])
    if params["engines"] < 1:
        errors.append(f"engines is {params['engines']}, wanted at least 1")
    if errors:
        module.fail_json(msg="; ".join(errors))

    client = Client(params["url"], params["api_key"], params["timeout"])
    watch = Watch(module, params["container"]) if params["container"] else None
    try:
        answer = wait_until_ready(client, watch, 0 if module.check_mode else params["wait"])
    except ContainerDied as exc:
        findings = watch.findings()
        start = start_facts(watch)
        fail(
            module,
            died_message(params, exc, start, findings, watch.lines),
            ready=False,
            died=True,
            findings=findings,
            **start,
        )
    start = start_facts(watch)
    if answer.status != 200:
        fail(module, not_ready_message(params, answer, start), ready=False, died=False, **start)

    names = [
        name
        for name in checks.CHECKS
        if name in params["checks"] and (name != "key_refused" or params["api_key"])
    ]
    facts = {"ready": True, "died": False, "stage": "serving"}
    if watch and watch.lines:
        facts["timeline"] = start["timeline"]
    if names:
        check(module, client, watch, names, facts)
    module.exit_json(changed=False, **facts)


def check(module, client, watch, names, facts):
    """Add the results of the checks to the facts; fail if one failed."""
    params = module.params
    talks = checks.conversations(params["requests"])
    results, found = prove(client, names, params["model"], talks, params["engines"])
    facts.update(found)
    facts["checks"] = {
        name: {"ok": verdict.ok, "detail": verdict.found, "seconds": round(seconds, 3)}
        for name, (verdict, seconds) in results.items()
    }
    failures = checks.report({name: verdict for name, (verdict, _seconds) in results.items()})
    if not failures:
        return
    failed = [name for name, (verdict, _seconds) in results.items() if not verdict.ok]
    said = [f"{where(params)}: {len(failed)} of {len(results)} checks failed."]
    if watch:
        facts["findings"] = watch.findings()
        said.extend(
            "In the container's log: {cause}. {remedy}.\nLine: {line}".format(**finding)
            for finding in facts["findings"][:1]
        )
    fail(module, "\n".join(said + failures), **facts)


def fail(module, msg, **facts):
    """Fail; in check mode skip, as the service may be one that a real run would start or change."""
    if module.check_mode:
        module.exit_json(changed=False, skipped=True, msg=msg, **facts)
    module.fail_json(msg=msg, **facts)


if __name__ == "__main__":
    main()
