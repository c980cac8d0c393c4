"""Image layers as tar files."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from pathlib import Path

TIME = 1735689600  # of all that is made here, whenever it is made


def write(tar: Path, root: Path, paths: Iterable[Path]) -> None:
    """Write these paths below a root, each by itself, so that a folder comes without what else is in it."""
    with tarfile.open(tar, "w") as archive:
        for path in sorted(paths):
            archive.add(root / path, str(path), recursive=False, filter=_as_made_by_root)


def _as_made_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    if not entry.name.endswith(".py"):  # a compiled module knows the time of its source
        entry.mtime = TIME
    return entry
