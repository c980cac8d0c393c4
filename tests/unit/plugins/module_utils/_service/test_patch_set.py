# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem, ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import patch_set

SHIPPED = sorted(Path(__file__).resolve().parents[5].joinpath("profiles", "patches").glob("*/patch.yml"))

OLD, NEW = "a = 1\nb = 2\n", "a = 1\nb = 3\n"
EDIT = {
    "path": "edited.py",
    "sha256_before": patch_set.checksum(OLD),
    "sha256_after": patch_set.checksum(NEW),
    "edits": [{"old": "b = 2", "new": "b = 3"}],
}
PLAIN, FIXED = "plain = 1\n", "fixed = 1\n"
CREATED = {
    "path": "new.py",
    "sha256_before": patch_set.ABSENT,
    "sha256_after": patch_set.checksum(PLAIN),
    "content": "plain.py",
    "fixes": {"sha256_after": patch_set.checksum(FIXED), "content": "fixed.py"},
}
RELEASES = [
    {"from": "0.13.0", "below": "0.14.0", "files": [CREATED, EDIT]},
    {"from": "0.14.0", "files": []},
]


@pytest.fixture(name="file")
def patch_file(tmp_path):
    for name, content in {"plain.py": PLAIN, "fixed.py": FIXED, "smoke_test.py": "pass\n"}.items():
        (tmp_path / name).write_text(content, encoding="ascii")
    return tmp_path / "patch.yml"


@pytest.fixture(name="load")
def loaded(file):
    return lambda fixes: patch_set.load(file, {"releases": RELEASES}, fixes)["releases"]


def change(releases, **contents):
    files = {"new.py": contents.get("new"), "edited.py": contents.get("edited")}
    new, problems = patch_set.changes(releases[0]["files"], files)
    assert problems == []
    return new


@pytest.mark.parametrize(("fixes", "content"), [(False, PLAIN), (True, FIXED)])
def test_an_unpatched_package_is_changed_once(load, fixes, content):
    releases = load(fixes)
    assert change(releases, edited=OLD) == {"new.py": content, "edited.py": NEW}
    assert change(releases, new=content, edited=NEW) == {}


def test_fixes_go_on_and_off_and_a_partly_patched_package_is_completed(load):
    assert change(load(True), new=PLAIN, edited=NEW) == {"new.py": FIXED}
    assert change(load(False), new=FIXED, edited=OLD) == {"new.py": PLAIN, "edited.py": NEW}


def test_a_smoke_test_is_optional_and_read(file):
    data = {"releases": RELEASES}
    assert patch_set.load(file, data, True)["smoke_test"] is None
    assert patch_set.load(file, {**data, "smoke_test": "smoke_test.py"}, True)["smoke_test"] == "pass\n"


def edits(new: str, **more: str) -> dict[str, object]:
    return dict(EDIT, edits=[{"old": "b = 2", "new": new}], **more)


WRONG_EDITS = {
    "no match": (dict(EDIT, edits=[{"old": "c = 2", "new": ""}]), "'c = 2'"),
    "two matches": (dict(EDIT, edits=[{"old": " = ", "new": ""}]), "' = '"),
    "another result": (edits("b = 4"), patch_set.checksum("a = 1\nb = 4\n")),
    "no Python": (edits("b =", sha256_after=patch_set.checksum("a = 1\nb =\n")), "invalid syntax"),
}


def problem(file: dict[str, object], content: str | None = OLD) -> Problem:
    """Return why a file must not be changed."""
    new, (found,) = patch_set.changes([file], {"edited.py": content})
    assert new == {}
    return found


@pytest.mark.parametrize(("file", "named"), WRONG_EDITS.values(), ids=WRONG_EDITS)
def test_a_patch_set_that_does_not_do_what_it_promises_is_refused(file, named):
    assert named in problem(file).found


@pytest.mark.parametrize("content", ["a = 1\nb = 2\n\n", "", None], ids=["changed", "empty", "missing"])
def test_a_file_with_unknown_content_is_refused_and_the_others_are_not(load, content):
    new, (refused,) = patch_set.changes(load(True)[0]["files"], {"new.py": None, "edited.py": content})
    assert list(new) == ["new.py"]
    found = "" if content is None else patch_set.checksum(content)
    assert all(word in refused.found for word in ("edited.py", found))
    assert all(EDIT[key] in refused.expected for key in ("sha256_before", "sha256_after"))


@pytest.mark.parametrize(
    ("content", "version"),
    [
        ("__version__ = version = '0.13.0'\n__version_tuple__ = version_tuple = (0, 13, 0)\n", "0.13.0"),
        ('version = "0.13.0+empty"\n', "0.13.0+empty"),
        (
            "version: str\n__version__ = version = '0.13.1.dev0+g1234567.d20260101'\n",
            "0.13.1.dev0+g1234567.d20260101",
        ),
    ],
)
def test_the_version_is_read(load, content, version):
    assert patch_set.version_of(content) == version
    assert [file["path"] for file in patch_set.files_for(version, load(True))] == ["new.py", "edited.py"]


def test_a_version_file_without_a_version_is_refused():
    with pytest.raises(ProblemError, match=r"_version\.py"):
        patch_set.version_of("version = None\n")


@pytest.mark.parametrize("version", ["0.14.0", "0.14.0rc1", "0.16.0+cpu", "1.0"])
def test_a_release_that_needs_no_change_gets_none(load, version):
    assert patch_set.files_for(version, load(True)) == []


@pytest.mark.parametrize("version", ["0.12.0", "0.9.2+empty"])
def test_an_unsupported_release_is_refused(load, version):
    with pytest.raises(ProblemError) as error:
        patch_set.files_for(version, load(True))
    assert version in error.value.problem.found
    assert all(name in error.value.problem.expected for name in ("0.13.0", "0.14.0"))


def test_the_digest_depends_on_the_outcome_and_survives_the_modules_arguments(load):
    fixed, plain = load(True), load(False)
    assert patch_set.digest(fixed) != patch_set.digest(plain)
    as_the_module_gets_it = [
        dict(release, files=[dict({"edits": None}, **file) for file in release["files"]]) for release in plain
    ]
    assert patch_set.digest(as_the_module_gets_it) == patch_set.digest(plain)


OLD_FORMAT = {
    "exercise": "smoke_test.py",
    "releases": [
        {
            "from": "0.13.0",
            "files": [
                {"path": "new.py", "before": "absent", "after": "0", "text": "a", "repairs": {"after": "1"}},
                {"path": "edited.py", "before": "0", "after": "1", "replace": [{"old": "a", "new": "b"}]},
            ],
        }
    ],
}


def refused(file: Path, data: object) -> Problem:
    with pytest.raises(ProblemError) as error:
        patch_set.load(file, data, True)
    return error.value.problem


def test_keys_of_the_old_format_are_refused_with_their_new_names(file):
    expected = refused(file, OLD_FORMAT).expected
    assert all(f"{new} instead of {old}" in expected for old, new in patch_set.RENAMED.items())


NO_PATCH_SETS = {
    "no releases": {"smoke_test": "smoke_test.py"},
    "a list": [],
    "no such file": {"releases": [], "smoke_test": "missing.py"},
    "a file without path": {
        "releases": [{"from": "1", "files": [{"sha256_after": "0", "content": "plain.py"}]}]
    },
}


@pytest.mark.parametrize("data", NO_PATCH_SETS.values(), ids=NO_PATCH_SETS)
def test_what_is_no_patch_set_is_refused(file, data):
    assert str(file) in refused(file, data).found


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
@pytest.mark.parametrize("fixes", [False, True])
def test_a_shipped_patch_set_has_files_with_the_checksums_it_names(path, fixes):
    loaded = patch_set.load(path, yaml.safe_load(path.read_text(encoding="utf-8")), fixes)
    files = [file for release in loaded["releases"] for file in release["files"]]
    assert files
    for file in files:
        if "content" in file:
            assert patch_set.checksum(file["content"]) == file["sha256_after"], file["path"]
            # The host's Python compiles it before it goes into the container.
            ast.parse(file["content"], feature_version=(3, 8))
        assert file["sha256_before"] != file["sha256_after"]


@pytest.mark.parametrize(
    ("fixes", "digest"),
    [
        (False, "c270abaf7f95496faea86fc7a4537c0f682f8b5cc221ab898424abdfaad892a7"),
        (True, "da7c1dabc43cfcbf4822b9336dcbaf214ae108a6822c34d3ed0817f69cb32e6e"),
    ],
)
def test_the_shipped_digest_is_stable(fixes, digest):
    """It is a label of every container: another one replaces them all."""
    path = next(path for path in SHIPPED if path.parent.name == "glm47")
    assert patch_set.load(path, yaml.safe_load(path.read_text(encoding="utf-8")), fixes)["digest"] == digest


def test_another_release_of_a_patch_set_does_not_change_the_digest(file):
    entry = {"path": "a.py", "sha256_before": "0", "sha256_after": "1", "edits": []}
    own = {"from": "0.13.0", "below": "0.14.0", "files": [entry]}

    def digest(version: str | None, *others: dict[str, object]) -> str:
        return patch_set.load(file, {"releases": [own, *others]}, True, version)["digest"]

    other = {"from": "0.14.0", "files": [{**entry, "sha256_after": "2"}]}
    assert digest("0.13.0") == digest("0.13.0", other)
    assert digest("0.13.0", other) != digest("0.14.0", other)
    assert digest(None) != digest(None, other)


def test_golden_messages(file, load, golden):
    problems = {name: problem(edit) for name, (edit, _named) in WRONG_EDITS.items()}
    problems["changed file"] = problem(EDIT, "a = 1\n")
    problems["missing file"] = problem(EDIT, None)
    problems["old format"] = refused(file, OLD_FORMAT)
    problems["no releases"] = refused(file, NO_PATCH_SETS["no releases"])
    for name, call in {
        "unsupported release": lambda: patch_set.files_for("0.12.0", load(True)),
        "no version": lambda: patch_set.version_of("version = None\n"),
    }.items():
        with pytest.raises(ProblemError) as error:
            call()
        problems[name] = error.value.problem
    golden(
        "patch_set", {name: str(found).replace(str(file.parent), "DIR") for name, found in problems.items()}
    )
