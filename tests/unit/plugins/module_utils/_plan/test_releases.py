# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of the table, and what profiles make of them."""

from __future__ import annotations

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import releases
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from shipped import PROFILES, ROOT, read, settings

TABLE = PROFILES.table()
NAMES = sorted(TABLE["releases"])


@pytest.mark.parametrize("name", NAMES)
def test_each_release_has_what_its_files_read(name):
    release = PROFILES.release(name)
    assert release is not None
    row = TABLE["releases"][name]
    assert (release.name, release.row) == (name, row)
    ascend = read(ROOT / f"profiles/ascend/{row['settings']}.yml")
    assert release.keys == set(ascend["additional_config"])
    assert release.values == (ascend["choices"] or {})
    assert release.flags.kinds
    assert release.parsers["tool-call-parser"]


def test_a_release_that_the_table_does_not_have():
    assert PROFILES.release("0.0.1") is None
    assert PROFILES.release(None) is None


def test_where_a_cell_comes_from():
    table = {
        "sources": {"vllm": "docs/{tag}", "cann": "x"},
        "releases": {"1": {"sources": {"cann": "{tag}!"}}, "2": {}},
    }
    assert releases.sources(table, "1") == {"vllm": "docs/v1", "cann": "v1!"}
    assert releases.sources(table, "2") == {"vllm": "docs/v2", "cann": "x"}


@pytest.mark.parametrize("variant", sorted(TABLE["images"]))
def test_a_release_gives_image_and_versions(variant):
    given = releases.given(TABLE, NAMES[0], variant)
    assert given["image"].startswith(TABLE["repository"] + ":")
    assert NAMES[0] in given["image"]
    assert given["image_versions"]["vllm_ascend"] == NAMES[0]
    assert None not in given["image_versions"].values()


@pytest.mark.parametrize(
    ("name", "variant", "found"),
    [("0.0.1", "a2", "vllm_release is '0.0.1'"), (NAMES[0], "a9", "vllm_image_variant is 'a9'")],
)
def test_an_unknown_one_is_refused(name, variant, found):
    with pytest.raises(ProblemError, match=found):
        releases.given(TABLE, name, variant)


def test_a_patch_set_is_that_of_the_settings_or_none():
    assert PROFILES.patch(settings(vllm_patch_set=None)) is None
    chosen = settings()
    found = PROFILES.patch(chosen)
    assert (found["set"], found["dir"]) == (chosen["patch_set"], chosen["patch_dir"])
