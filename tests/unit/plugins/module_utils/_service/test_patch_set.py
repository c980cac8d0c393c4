# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import patch_set

SHIPPED = sorted(Path(__file__).resolve().parents[5].joinpath("profiles", "patches").glob("*/patch.yml"))

OLD, NEW = "a = 1\nb = 2\n", "a = 1\nb = 3\n"
EDIT = {
    "path": "edited.py",
    "before": patch_set.checksum(OLD),
    "after": patch_set.checksum(NEW),
    "replace": [{"old": "b = 2", "new": "b = 3"}],
}
PLAIN, REPAIRED = "plain = 1\n", "repaired = 1\n"
LAYERS = {
    "path": "new.py",
    "before": patch_set.ABSENT,
    "after": patch_set.checksum(PLAIN),
    "text": "plain.py",
    "repairs": {"after": patch_set.checksum(REPAIRED), "text": "repaired.py"},
}
RELEASES = [{"from": "0.13.0", "below": "0.14.0", "files": [LAYERS, EDIT]}, {"from": "0.14.0", "files": []}]


def resolve(repairs):
    return patch_set.resolve(RELEASES, {"plain.py": PLAIN, "repaired.py": REPAIRED}.__getitem__, repairs)


def change(repairs, **found):
    new, refused = patch_set.changes(
        resolve(repairs)[0]["files"], {"new.py": found.get("new"), "edited.py": found.get("edited")}
    )
    assert refused == []
    return new


@pytest.mark.parametrize(("repairs", "text"), [(False, PLAIN), (True, REPAIRED)])
def test_an_untouched_package_is_changed_and_then_no_more(repairs, text):
    assert change(repairs, edited=OLD) == {"new.py": text, "edited.py": NEW}
    assert change(repairs, new=text, edited=NEW) == {}


def test_repairs_go_on_and_off_and_a_half_patched_package_is_completed():
    assert change(True, new=PLAIN, edited=NEW) == {"new.py": REPAIRED}
    assert change(False, new=REPAIRED, edited=OLD) == {"new.py": PLAIN, "edited.py": NEW}


@pytest.mark.parametrize("text", ["a = 1\nb = 2\n\n", "", None], ids=["changed", "empty", "missing"])
def test_a_file_in_no_known_state_is_refused_with_what_was_found_and_wanted(text):
    new, refused = patch_set.changes(resolve(True)[0]["files"], {"new.py": None, "edited.py": text})
    assert list(new) == ["new.py"]
    found = "no such file" if text is None else patch_set.checksum(text)
    assert [word in refused[0] for word in ("edited.py", found, EDIT["before"], EDIT["after"])] == [True] * 4


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"replace": [{"old": "c = 2", "new": ""}]}, "'c = 2' is there 0 times, wanted once"),
        ({"replace": [{"old": " = ", "new": ""}]}, "is there 2 times, wanted once"),
        (
            {"replace": [{"old": "b = 2", "new": "b = 4"}]},
            f"makes SHA-256 {patch_set.checksum('a = 1' + chr(10) + 'b = 4' + chr(10))} of it",
        ),
        (
            {"replace": [{"old": "b = 2", "new": "b ="}], "after": patch_set.checksum("a = 1\nb =\n")},
            "cannot compile",
        ),
    ],
    ids=["no match", "two matches", "another result", "no Python"],
)
def test_a_patch_set_that_does_not_do_what_it_says_is_refused(wrong, says):
    new, refused = patch_set.changes([dict(EDIT, **wrong)], {"edited.py": OLD})
    assert new == {}
    assert says in refused[0]


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("__version__ = version = '0.13.0'\n__version_tuple__ = version_tuple = (0, 13, 0)\n", "0.13.0"),
        ('version = "0.13.0+empty"\n', "0.13.0+empty"),
        (
            "version: str\n__version__ = version = '0.13.1.dev0+g1234567.d20260101'\n",
            "0.13.1.dev0+g1234567.d20260101",
        ),
    ],
)
def test_the_version_is_read(text, version):
    assert patch_set.version_of(text) == version
    assert [file["path"] for file in patch_set.files_for(version, resolve(True))] == ["new.py", "edited.py"]


def test_a_version_file_without_a_version_is_refused():
    with pytest.raises(patch_set.PatchError, match=r"_version\.py names no version"):
        patch_set.version_of("version = None\n")


@pytest.mark.parametrize("version", ["0.14.0", "0.14.0rc1", "0.16.0+cpu", "1.0"])
def test_a_release_that_needs_no_change_gets_none(version):
    assert patch_set.files_for(version, resolve(True)) == []


@pytest.mark.parametrize("version", ["0.12.0", "0.9.2+empty"])
def test_an_unknown_release_is_refused(version):
    with pytest.raises(
        patch_set.PatchError,
        match=r"wanted one that the patch set knows \(0\.13\.0 to below 0\.14\.0, 0\.14\.0 and later\)",
    ):
        patch_set.files_for(version, resolve(True))


def test_the_digest_tells_outcomes_apart_and_survives_the_modules_arguments():
    with_repairs, without = resolve(True), resolve(False)
    assert patch_set.digest(with_repairs) != patch_set.digest(without)
    as_the_module_gets_it = [
        dict(
            release,
            below=release["below"],
            files=[dict({"replace": None}, **file) for file in release["files"]],
        )
        for release in without
    ]
    assert patch_set.digest(as_the_module_gets_it) == patch_set.digest(without)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
@pytest.mark.parametrize("repairs", [False, True])
def test_a_shipped_patch_set_has_files_with_the_checksums_it_names(path, repairs):
    releases = patch_set.resolve(
        yaml.safe_load(path.read_text(encoding="utf-8"))["releases"],
        lambda name: (path.parent / name).read_text(encoding="utf-8"),
        repairs,
    )
    files = [file for release in releases for file in release["files"]]
    assert files
    for file in files:
        if "text" in file:
            assert patch_set.checksum(file["text"]) == file["after"], file["path"]
            ast.parse(
                file["text"], feature_version=(3, 8)
            )  # hosts' Python compiles it before it goes into the container
        assert file["before"] != file["after"]
