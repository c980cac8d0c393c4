# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import json

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._host.image_pull import (
    Pull,
    layer_sizes,
    login,
    registry,
)
from hypothesis import given
from hypothesis import strategies as st

ONE, TWO, OLD = "5a09404e78bb", "83db3b9658fe", "8b2a176e40ef"
SIZES = {ONE: 35_211_609, TWO: 30_306_792, OLD: 24_904_483}
HEAD = "v0.13.0rc1: Pulling from ascend/vllm-ascend\r\n"
BAR = "[=====>                                             ]"


def line(layer: str, status: str) -> str:
    """Return what Docker 20.10 and 28 write when something changed."""
    return f"\x1b[1A\x1b[2K\r{layer}: {status}\r\x1b[1B"


BEGUN = HEAD + line(ONE, "Pulling fs layer ") + line(TWO, "Waiting ") + line(OLD, "Already exists ")


def progress(text: str, sizes: dict[str, int]) -> dict[str, object]:
    pull = Pull(sizes)
    for character in text:  # however it comes
        pull.take(character)
    pull.end()
    return pull.progress()


@pytest.mark.parametrize(
    ("then", "stage", "done"),
    [
        ("", "pulled", 0),
        (line(ONE, f"Downloading {BAR}  16.58MB/35.21MB"), "pulled", 16_580_000),
        (
            line(ONE, "Verifying Checksum ") + line(TWO, f"Downloading {BAR}  327.7kB/30.31MB"),
            "pulled",
            SIZES[ONE] + 327_700,
        ),
        (line(ONE, "Retrying in 5 seconds "), "pulled", 0),
        (line(ONE, f"Extracting {BAR}  24.12MB/35.21MB") + line(TWO, "Waiting "), "pulled", SIZES[ONE]),
        (
            line(ONE, f"Extracting {BAR}  24.12MB/35.21MB") + line(TWO, "Download complete "),
            "unpacked",
            24_120_000,
        ),
        (line(ONE, "Pull complete ") + line(TWO, "Download complete "), "unpacked", SIZES[ONE]),
        (
            line(ONE, "Pull complete ") + line(TWO, "Pull complete ") + "Digest: sha256:c97f\r\n",
            "unpacked",
            SIZES[ONE] + SIZES[TWO],
        ),
    ],
)
def test_bytes_are_added_up_over_the_layers_that_are_not_there(then: str, stage: str, done: int):
    assert progress(BEGUN + then, SIZES) == {"stage": stage, "done": done, "all": SIZES[ONE] + SIZES[TWO]}


def test_what_the_registry_does_not_tell_is_known_once_a_layer_has_begun():
    one = BEGUN + line(ONE, f"Downloading {BAR}  16.58MB/35.21MB")
    assert progress(one, {})["all"] is None
    assert progress(one + line(TWO, f"Downloading {BAR}  1.2GB/3.4GB"), {}) == {
        "stage": "pulled",
        "done": 1_216_580_000,
        "all": 3_435_210_000,
    }
    assert (
        progress(one + line(TWO, f"Downloading {BAR}  12B/3400B") + line(ONE, "Download complete "), {})[
            "done"
        ]
        == 35_210_012
    )
    assert progress(HEAD, SIZES) == {}


def test_a_layer_too_small_for_a_size_does_not_hide_the_percentage():
    text = BEGUN + line(ONE, "Download complete ") + line(TWO, f"Downloading {BAR}  12B/3400B")
    assert progress(text, {}) == {"stage": "pulled", "done": 12, "all": 3400}


def test_a_tag_that_looks_like_a_layer_is_none():
    text = f"{ONE}: Pulling from ascend/vllm-ascend\r\n" + line(TWO, f"Downloading {BAR}  12B/3400B")
    assert progress(text, {}) == {"stage": "pulled", "done": 12, "all": 3400}


def test_what_is_complete_is_counted_by_layers_and_bytes():
    pull = Pull({ONE: SIZES[ONE]})
    pull.take(BEGUN + line(ONE, "Pull complete ") + line(TWO, f"Downloading {BAR}  1MB/2TB"))
    pull.end()
    assert (pull.complete(), pull.complete_bytes()) == (2, SIZES[ONE])
    pull.take(line(TWO, "Pull complete ") + "\n")
    assert (pull.complete(), pull.complete_bytes()) == (3, SIZES[ONE] + 2 * 10**12)
    unknown = Pull({})
    unknown.take(line(ONE, "Pull complete ") + "\n")
    assert (unknown.complete(), unknown.complete_bytes()) == (1, 0)


def test_the_error_is_kept_apart():
    pull = Pull({})
    pull.take("Error response from daemon: manifest for host:5000/a:b not found: manifest unknown")
    pull.end()
    assert pull.other == [
        "Error response from daemon: manifest for host:5000/a:b not found: manifest unknown"
    ]


@given(
    st.lists(
        st.sampled_from(
            ["\r", "\n", "\x1b[2K", ONE, ": ", "Downloading", "Extracting", "1.5", "..", "MB", "/", " "]
        )
    ).map("".join)
)
def test_no_text_is_a_traceback(text: str):
    assert set(progress(BEGUN + text, SIZES)) == {"stage", "done", "all"}


MANIFEST = {"layers": [{"digest": f"sha256:{ONE}{'0' * 52}", "size": 12}]}


@pytest.mark.parametrize(
    ("said", "sizes"),
    [
        (json.dumps({"SchemaV2Manifest": MANIFEST}), {ONE: 12}),
        (
            json.dumps(
                [
                    {"OCIManifest": MANIFEST},
                    {"SchemaV2Manifest": {"layers": [{"digest": f"sha256:{TWO}{'0' * 52}", "size": 3}]}},
                    {},
                ]
            ),
            {ONE: 12, TWO: 3},
        ),
        ("no such manifest: host:5000/a:b", {}),
    ],
    ids=["one platform", "several", "an error"],
)
def test_the_sizes_of_layers_are_read(said: str, sizes: dict[str, int]):
    assert layer_sizes(said) == sizes


@pytest.mark.parametrize(
    ("image", "key"),
    [
        ("quay.io/ascend/vllm-ascend:v1", "quay.io"),
        ("10.77.0.1:5000/a/b", "10.77.0.1:5000"),
        ("a/b:v1", "https://index.docker.io/v1/"),
        ("docker.io/a/b:v1", "https://index.docker.io/v1/"),
    ],
)
def test_credentials_are_those_of_the_registry_of_the_image(image: str, key: str):
    ((server, entry),) = json.loads(login(image, "robot", "pass:wörd"))["auths"].items()
    assert (server, base64.b64decode(entry["auth"]).decode()) == (key, "robot:pass:wörd")


@pytest.mark.parametrize(
    ("image", "host"),
    [
        ("quay.io/ascend/vllm-ascend:v1", "quay.io"),
        ("10.77.0.1:5000/a/b", "10.77.0.1:5000"),
        ("localhost/a", "localhost"),
        ("a/b:v1", "docker.io"),
        ("a", "docker.io"),
    ],
)
def test_the_registry_of_an_image(image: str, host: str):
    assert registry(image) == host
