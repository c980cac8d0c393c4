# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change files of a Python package from known texts to known texts, or say why not. profiles/patches shows the form of a patch set."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Callable, Mapping, Sequence

LABEL = "ascend_ops.vllm.patches"  # of a container: the digest of the patch set that it was made for
ABSENT = "absent"  # in the place of a checksum: no such file
VERSION_FILE = "_version.py"


class PatchError(ValueError):
    """A patch set that cannot be used, or not on this package; the text says what was found and what was wanted."""


def resolve(
    releases: Sequence[Mapping[str, Any]], read: Callable[[str], str], repairs: bool
) -> list[dict[str, Any]]:
    """Return the releases of a patch set with the texts of new files in them, *read* by name, as they are with *repairs* or without.

    A file's other layer is one more known state of it, so that switching the repairs on or off works on a patched container.
    """
    result = []
    for release in releases:
        files = []
        for entry in release["files"]:
            layers = [entry, dict(entry, **entry["repairs"])] if "repairs" in entry else [entry]
            chosen = layers[-1] if repairs else layers[0]
            file = {key: chosen[key] for key in ("path", "before", "after", "replace") if key in chosen}
            file["known"] = [layer["after"] for layer in layers if layer is not chosen]
            if "text" in chosen:
                file["text"] = read(chosen["text"])
            files.append(file)
        result.append({"from": release["from"], "below": release.get("below"), "files": files})
    return result


def digest(releases: Sequence[Mapping[str, Any]]) -> str:
    """Return a checksum that differs where the outcome of two patch sets does."""
    outcome = [
        [release["from"], release.get("below"), [[file["path"], file["after"]] for file in release["files"]]]
        for release in releases
    ]
    return checksum(json.dumps(outcome))


def checksum(text: str | None) -> str:
    """Return the SHA-256 of a file's text, or that it is absent."""
    return ABSENT if text is None else hashlib.sha256(text.encode("utf-8")).hexdigest()


def version_of(text: str) -> str:
    """Return the version that the package's _version.py names."""
    match = re.search(r"\bversion\s*=\s*['\"](\d[^'\"]*)['\"]", text)
    if not match:
        raise PatchError(f"{VERSION_FILE} names no version")
    return match.group(1)


def files_for(version: str, releases: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the files to change in that version: none if it needs no change."""
    for release in releases:
        if _numbers(release["from"]) <= _numbers(version) and (
            not release.get("below") or _numbers(version) < _numbers(release["below"])
        ):
            return list(release["files"])
    known = ", ".join(
        release["from"] + (f" to below {release['below']}" if release.get("below") else " and later")
        for release in releases
    )
    raise PatchError(f"vLLM {version}, wanted one that the patch set knows ({known})")


def changes(
    files: Sequence[Mapping[str, Any]], found: Mapping[str, str | None]
) -> tuple[dict[str, str], list[str]]:
    """Return the new text of each file that must change, and a message for each that must not be touched, *found* being what is there."""
    new, refused = {}, []  # type: dict[str, str], list[str]
    for file in files:
        path, text = file["path"], found[file["path"]]
        state = checksum(text)
        if state == file["after"]:
            continue
        if state == file["before"] or (state in (file.get("known") or []) and file.get("text") is not None):
            try:
                new[path] = _new_text(file, text)
            except PatchError as exc:
                refused.append(f"{path}: {exc}")
        else:
            refused.append(
                f"{path}: {_named(state)}, wanted {_named(file['before'])} (untouched) or {_named(file['after'])} (patched)"
            )
    return new, refused


def sketch(file: Mapping[str, Any]) -> tuple[str, str]:
    """Return before and after of the lines that would change in a file that is not at hand."""
    if file.get("text") is not None:
        return "", file["text"]
    before, after = ("".join(edit[side] + "\n" for edit in file["replace"]) for side in ("old", "new"))
    return before, after


def _new_text(file: Mapping[str, Any], text: str | None) -> str:
    new = file.get("text")
    if new is None:
        new = text or ""
        for edit in file["replace"]:
            if new.count(edit["old"]) != 1:
                raise PatchError(
                    f"the patch set's text {edit['old']!r} is there {new.count(edit['old'])} times, wanted once"
                )
            new = new.replace(edit["old"], edit["new"])
    if checksum(new) != file["after"]:
        raise PatchError(f"the patch set makes {_named(checksum(new))} of it, wanted {_named(file['after'])}")
    try:
        compile(new, file["path"], "exec")
    except SyntaxError as exc:
        raise PatchError(f"the patch set makes a file of it that Python cannot compile: {exc}") from exc
    return str(new)


def _named(state: str) -> str:
    return "no such file" if state == ABSENT else f"SHA-256 {state}"


def _numbers(version: str) -> list[int]:
    match = re.match(r"\d+(?:\.\d+)*", version)
    return [int(number) for number in match.group().split(".")] if match else []
