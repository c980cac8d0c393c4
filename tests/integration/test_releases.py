# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upgrades from one release of vLLM-Ascend to the next and back on the lab, under a steady load, with the real vLLM of each.

RELEASES names them, in their order. They have images of their own (`tests/lab/lab build RELEASE`), so `make test` leaves this out.
"""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
import urllib.request
from collections.abc import Iterator

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import checks, patch_set
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service.endpoint import Client
from lab import CONTAINER, INVENTORY, NODES, assert_names, on, place, playbook
from polling import wait_until
from shipped import PROFILES, ROOT, read
from test_recovery import ADDRESS, PATIENCE
from test_upgrade import containers

RELEASES = os.environ.get("RELEASES", "0.13.0 0.23.0 0.30.0").split()
STEPS = list(itertools.pairwise([*RELEASES, RELEASES[0]]))
PATCHES = ROOT / "profiles/patches/glm47/patch.yml"
# The profile of GLM-4.7 for each release. There is none for 0.30.0.
MODELS = {
    "0.13.0rc1": "glm-4.7",
    "0.13.0": "glm-4.7",
    "0.18.0": "glm-4.7-v0.18.0",
    "0.23.0": "glm-4.7-v0.23.0",
    "0.30.0": "glm-4.7-v0.18.0",
}
# Settings of the manual procedure that no release reads.
DEAD = {
    "VLLM_USE_V1",
    "ascend_scheduler_config",
    "chunked_prefill_for_mla",
    "enable_multistream_moe",
    "enable_weight_nz_layout",
}
URL = f"http://{ADDRESS}:8080"
PROMPTS = checks.prompts(read(ROOT / "tests/lab/model/conversations.yml")["probe"])
ASKED = [
    "chat",
    "reasoning",
    "thinking_off",
    "tool_call",
    "tool_call_no_arguments",
    "tool_call_streamed",
    "tool_call_no_arguments_streamed",
]


class Load(threading.Thread):
    """Asks one question after the other, all the time."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()
        self.right, self.lost, self.wrong = 0, 0, []
        self.silence, self._last = 0.0, time.monotonic()

    def run(self) -> None:
        client = Client(URL)
        for name in itertools.cycle(ASKED):
            if self.over.is_set():
                return
            about = checks.case(name, "glm47", PROMPTS)
            answer = client.ask(checks.CHECKS[name].request(about))
            if answer.status != 200 or answer.error or (answer.stream and not answer.stream.done):
                self.lost += 1
                time.sleep(0.5)
            elif problem := checks.outcome(name, answer, about).problem:
                self.wrong.append((name, problem))
            else:
                self.right += 1
                self.silence = max(self.silence, time.monotonic() - self._last)
                self._last = time.monotonic()

    def is_answered(self) -> None:
        """Assert that all questions are answered rightly, each several times."""
        lost, enough = self.lost, self.right + 3 * len(ASKED)
        wait_until(lambda: self.right >= enough or self.wrong, PATIENCE, "the load is answered")
        assert (self.lost, self.wrong) == (lost, [])

    def longest_silence(self) -> float:
        """Return the seconds between two right answers that lay farthest apart since the last call."""
        longest, self.silence = self.silence, 0.0
        return longest


@pytest.fixture(name="load", scope="module")
def service_under_load() -> Iterator[Load]:
    playbook("site.yml", *settings(RELEASES[0])).succeeded()
    load = Load()
    load.start()
    yield load
    load.over.set()
    load.join()


def settings(release: str, **more: object) -> tuple[str, ...]:
    """Return the options of a run for the release."""
    patches = next(iter(PROFILES.release(release).row["patch_sets"]), None)
    variables = {"vllm_release": release, "vllm_profile": MODELS[release], "vllm_patch_set": patches, **more}
    return (*INVENTORY, "-e", json.dumps(variables))


def assert_serves(release: str) -> None:
    """Assert that both hosts run the release's vLLM, with the patches that it needs and the settings that it reads."""
    vllm = str(PROFILES.release(release).row["vllm"])
    with urllib.request.urlopen(f"{URL}/version") as answer:
        assert json.load(answer)["version"] == vllm
    files = patch_set.files_for(vllm, patch_set.load(PATCHES, read(PATCHES), True)["releases"])
    for node in NODES:
        changed = on(node, "docker", "diff", CONTAINER).splitlines()
        patched = {
            line.partition("/vllm-workspace/vllm/vllm/")[2] for line in changed if line.endswith(".py")
        }
        assert patched - {""} == {file["path"] for file in files}
        running = "pid=$(pgrep -of 'vllm serve') && cat /proc/$pid/cmdline /proc/$pid/environ"
        text = on(node, "docker", "exec", CONTAINER, "sh", "-c", running)
        assert {name for name in DEAD if name in text} == (DEAD if MODELS[release] == "glm-4.7" else set())


def test_the_first_release_serves(load: Load):
    load.is_answered()
    assert_serves(RELEASES[0])


def test_the_old_release_returns_when_the_new_one_does_not_start(load: Load):
    old, new = STEPS[0]
    before, begin = containers(), time.monotonic()
    load.longest_silence()
    broken = settings(new, vllm_serve_extra_args=["--no-such-flag"])
    messages = playbook("playbooks/upgrade.yml", *broken).failed()
    assert_names(messages[NODES[0]], place(NODES[0], "serve"), "no-such-flag", "previous service runs again")
    assert containers() == before
    load.is_answered()
    assert_serves(old)
    print(
        f"{old}, tried {new}: {time.monotonic() - begin:.0f} s, no answer for {load.longest_silence():.0f} s"
    )


@pytest.mark.parametrize(("old", "new"), STEPS, ids=[f"{old}_to_{new}" for old, new in STEPS])
def test_an_upgrade(load: Load, old: str, new: str):
    load.is_answered()
    load.longest_silence()
    begin = time.monotonic()
    assert f"vllm-ascend:v{new}" in playbook("playbooks/upgrade.yml", *settings(new)).succeeded()
    took = time.monotonic() - begin
    load.is_answered()
    print(f"{old} to {new}: {took:.0f} s, no answer for {load.longest_silence():.0f} s")
    assert_serves(new)
