# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.comparison import (
    Comparison,
    Hashed,
    Stat,
    compare,
)
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import File
from hypothesis import given
from hypothesis import strategies as st

CONFIG = File("config.json", 10, "1" * 64)
MANY = [File(f"shard-{number:02}", 1 << 20, "1" * 64) for number in range(12)]
FILES = st.builds(File, st.text(), st.integers(0), st.text("0123456789abcdef", min_size=64, max_size=64))


@pytest.mark.parametrize(
    ("on_disk", "hashed", "where"),
    [
        (None, None, "wrong"),
        (Stat(9, 5), None, "wrong"),
        (Stat(10, 5), None, "unread"),
        (Stat(10, 6), Hashed(Stat(10, 5), CONFIG.sha256), "unread"),
        (Stat(10, 5), Hashed(Stat(10, 5), "3" * 64), "wrong"),
        (Stat(10, 5), Hashed(Stat(10, 5), CONFIG.sha256), "right"),
    ],
)
def test_a_file_is_right_only_if_it_is_unchanged_since_it_was_read(
    on_disk: Stat | None, hashed: Hashed | None, where: str
):
    found = compare(
        [CONFIG], {CONFIG.path: on_disk} if on_disk else {}, {CONFIG.path: hashed} if hashed else {}
    )
    assert found._asdict() == {**Comparison([], [], [])._asdict(), where: [CONFIG]}


@given(st.lists(FILES, unique_by=lambda file: file.path), st.data())
def test_every_file_is_in_one_place(files: list[File], data: st.DataObject):
    stats = st.builds(Stat, st.sampled_from([file.size for file in files] or [0]), st.integers(0, 2))
    on_disk = (
        data.draw(st.dictionaries(st.sampled_from([file.path for file in files]), stats)) if files else {}
    )
    hashed = {
        path: Hashed(data.draw(st.one_of(st.just(stat), stats)), data.draw(st.sampled_from(files)).sha256)
        for path, stat in on_disk.items()
    }
    found = compare(files, on_disk, hashed)
    assert sorted(found.right + found.unread + found.wrong) == sorted(files)


def test_a_diff_names_ten_files_and_counts_the_rest():
    lines = Comparison([], [CONFIG], MANY).changes().splitlines()
    assert [file.path for file in MANY if any(file.path in line for line in lines)] == [
        f"shard-{number:02}" for number in range(10)
    ]
    assert "12" in lines[-1]
    assert Comparison([CONFIG], [], []).changes() == ""


def test_golden_messages(golden):
    golden("comparison", {"diff": Comparison([], [CONFIG], MANY).changes()})
