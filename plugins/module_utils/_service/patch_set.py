# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Patch sets: they change files of a Python package, but only from one pinned content to another.

profiles/patches/glm47/patch.yml documents the format.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem, ProblemError

LABEL = "ascend_ops.vllm.patches"  # of a container: digest of the patch set that it was created for
ABSENT = "absent"  # in place of a checksum: there is no such file
VERSION_FILE = "_version.py"
# Keys of earlier versions of this collection, each with its new name.
RENAMED = {
    "exercise": "smoke_test",
    "before": "sha256_before",
    "after": "sha256_after",
    "text": "content",
    "replace": "edits",
    "repairs": "fixes",
}


def load(path: Path, data: Any, fixes: bool, version: str | None = None) -> dict[str, Any]:
    """Return the patch set with *data* as the content of its file *path*, with its fixes or without.

    What it names by file is read, so that the result is all that a host needs. Of its releases only the one for a
    *version* of vLLM stays, if there is one: what changes for others must not replace a container.
    """
    renamed = sorted(set(_renamed_keys(data)))
    if renamed:
        raise ProblemError(
            f"{path} has keys of an earlier format",
            ", ".join(f"{RENAMED[key]} instead of {key}" for key in renamed),
            "Rename them",
        )

    def read(name: str) -> str:
        return (path.parent / name).read_text(encoding="utf-8")

    try:
        entries = [one for one in data["releases"] if version and _is_for(version, one)][:1] or data[
            "releases"
        ]
        releases = [_release(release, read, fixes) for release in entries]
        smoke_test = read(data["smoke_test"]) if "smoke_test" in data else None
        return {"fixes": fixes, "releases": releases, "digest": digest(releases), "smoke_test": smoke_test}
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as exc:
        raise ProblemError(
            f"{path} is not a patch set ({exc!r})", "the format of glm47/patch.yml", "Correct the file"
        ) from exc


def digest(releases: Sequence[Mapping[str, Any]]) -> str:
    """Return a checksum that differs where the outcome of two patch sets does."""
    outcome = [
        [
            release["from"],
            release.get("below"),
            [[file["path"], file["sha256_after"]] for file in release["files"]],
        ]
        for release in releases
    ]
    return checksum(json.dumps(outcome))


def checksum(content: str | None) -> str:
    """Return the SHA-256 of a file's content, or ABSENT for None."""
    return ABSENT if content is None else hashlib.sha256(content.encode("utf-8")).hexdigest()


def version_of(content: str) -> str:
    """Return the version in the content of the package's _version.py."""
    match = re.search(r"\bversion\s*=\s*['\"](\d[^'\"]*)['\"]", content)
    if not match:
        remedy = "Use an image whose vLLM was built with a version"
        raise ProblemError(f"{VERSION_FILE} contains no version", "the version of vLLM", remedy)
    return match.group(1)


def files_for(version: str, releases: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the files to change in that version: none if it needs no change."""
    for release in releases:
        if _is_for(version, release):
            return list(release["files"])
    supported = ", ".join(
        release["from"] + (f" to below {release['below']}" if release.get("below") else " and later")
        for release in releases
    )
    remedy = "Use an image with such a release, or a patch set for this one"
    raise ProblemError(f"vLLM {version}", f"a release that the patch set supports ({supported})", remedy)


def changes(
    files: Sequence[Mapping[str, Any]], contents: Mapping[str, str | None]
) -> tuple[dict[str, str], list[Problem]]:
    """Return the new content of each file to change, and a problem for each that must not be touched."""
    changed: dict[str, str] = {}
    problems: list[Problem] = []
    for file in files:
        try:
            new = _patched(file, contents[file["path"]])
        except ProblemError as exc:
            problems.append(exc.problem)
            continue
        if new is not None:
            changed[file["path"]] = new
    return changed, problems


def preview(file: Mapping[str, Any]) -> tuple[str, str]:
    """Return before and after of the lines that would change in a file whose content is not available."""
    if file.get("content") is not None:
        return "", file["content"]
    before, after = ("".join(edit[side] + "\n" for edit in file["edits"]) for side in ("old", "new"))
    return before, after


def _renamed_keys(data: Any) -> Iterator[str]:
    if isinstance(data, Mapping):
        yield from (key for key in data if key in RENAMED)
        data = list(data.values())
    if isinstance(data, list):
        for value in data:
            yield from _renamed_keys(value)


def _is_for(version: str, release: Mapping[str, Any]) -> bool:
    below = release.get("below")
    return _numbers(release["from"]) <= _numbers(version) and not (
        below and _numbers(version) >= _numbers(below)
    )


def _release(release: Mapping[str, Any], read: Callable[[str], str], fixes: bool) -> dict[str, Any]:
    files = [_file(file, read, fixes) for file in release["files"]]
    return {"from": release["from"], "below": release.get("below"), "files": files}


def _file(file: Mapping[str, Any], read: Callable[[str], str], fixes: bool) -> dict[str, Any]:
    """Return a file's entry with or without its fixes.

    The other form is one more accepted content, so that a patched container can be changed to either.
    """
    forms = [file, {**file, **file["fixes"]}] if "fixes" in file else [file]
    chosen = forms[-1] if fixes else forms[0]
    keys = ("path", "sha256_before", "sha256_after", "edits")
    result = {key: chosen[key] for key in keys if key in chosen}
    result["also_accept"] = [form["sha256_after"] for form in forms if form is not chosen]
    if "content" in chosen:
        result["content"] = read(chosen["content"])
    return result


def _patched(file: Mapping[str, Any], content: str | None) -> str | None:
    """Return the new content of a file; None if it is patched already."""
    found, before, after = checksum(content), file["sha256_before"], file["sha256_after"]
    if found == after:
        return None
    replaceable = file.get("content") is not None and found in (file.get("also_accept") or [])
    if found != before and not replaceable:
        raise ProblemError(
            f"{file['path']} has {_described(found)}"
            if content is not None
            else f"there is no {file['path']}",
            f"{_described(before)} (as released) or {_described(after)} (patched)",
            "If the file was changed in the container, remove the container and create it again. "
            "If it is like this in the image, use another image or patch set",
        )
    new = _edited(file, content or "") if file.get("content") is None else str(file["content"])
    _require_outcome(file, new)
    return new


def _edited(file: Mapping[str, Any], content: str) -> str:
    for edit in file["edits"]:
        count = content.count(edit["old"])
        if count != 1:
            found = f"{file['path']} contains the text {edit['old']!r} of an edit {count} times"
            raise ProblemError(found, "exactly once", "Correct the patch set")
        content = content.replace(edit["old"], edit["new"])
    return content


def _require_outcome(file: Mapping[str, Any], new: str) -> None:
    """Refuse a new content that is not what the patch set promises, or no Python."""
    path, outcome = file["path"], checksum(new)
    if outcome != file["sha256_after"]:
        found = f"the patched {path} would have {_described(outcome)}"
        raise ProblemError(found, _described(file["sha256_after"]), "Correct the patch set")
    try:
        compile(new, path, "exec")
    except SyntaxError as exc:
        raise ProblemError(
            f"the patched {path} would have a syntax error: {exc}", "valid Python", "Correct the patch set"
        ) from exc


def _described(state: str) -> str:
    return "no such file" if state == ABSENT else f"SHA-256 {state}"


def _numbers(version: str) -> list[int]:
    match = re.match(r"\d+(?:\.\d+)*", version)
    return [int(number) for number in match.group().split(".")] if match else []
