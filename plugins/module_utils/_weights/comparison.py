# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the files of a repository with the disk."""

from __future__ import annotations

from typing import Iterable, Mapping, NamedTuple

from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.paths import SHOWN
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.progress import readable
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import File, total


class Stat(NamedTuple):
    """What shows without reading a file that it has not changed since it was read."""

    size: int
    mtime_ns: int


class Hashed(NamedTuple):
    """The hash of a file when it had that stat."""

    stat: Stat
    sha256: str


class Comparison(NamedTuple):
    """Files that are right, those of the right size that were not read yet, and those wrong or missing."""

    right: list[File]
    unread: list[File]
    wrong: list[File]

    def changes(self) -> str:
        """Return a line for each file to fetch, and the totals: for diff mode."""
        if not self.wrong and not self.unread:
            return ""
        lines = [
            f"fetch {file.path} ({readable(file.size)}, sha256 {file.sha256[:12]})"
            for file in self.wrong[:SHOWN]
        ]
        if len(self.wrong) > SHOWN:
            lines.append(f"fetch {len(self.wrong) - SHOWN} more")
        lines.append(f"total: {_counted(self.wrong)} to fetch, {_counted(self.unread)} to verify")
        return "\n".join(lines) + "\n"


def _counted(files: list[File]) -> str:
    return f"{len(files)} file{'' if len(files) == 1 else 's'} ({readable(total(files))})"


def compare(files: Iterable[File], on_disk: Mapping[str, Stat], hashed: Mapping[str, Hashed]) -> Comparison:
    """Compare *files* with the stats of those on the disk and the hashes read so far."""
    result = Comparison([], [], [])
    for file in files:
        stat, read = on_disk.get(file.path), hashed.get(file.path)
        if stat is None or stat.size != file.size:
            result.wrong.append(file)
        elif read is None or read.stat != stat:
            result.unread.append(file)
        else:
            (result.right if read.sha256 == file.sha256 else result.wrong).append(file)
    return result
