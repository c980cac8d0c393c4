"""A slim Debian out of a full one: the files of some packages and of those they depend on."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_USR_MERGE = ("bin", "lib", "lib64", "sbin")  # links that no package has
_MADE_AT_INSTALLATION = ("etc/passwd", "etc/group", "etc/ssl/certs")
_LEFT_OUT = tuple(Path("usr/share", name) for name in ("doc", "info", "lintian", "locale", "man"))


def files(rootfs: Path, packages: Iterable[str]) -> set[Path]:
    """The paths that such a Debian consists of, relative to the root."""
    found = {Path(name) for name in _USR_MERGE if (rootfs / name).is_symlink()}
    for name in _MADE_AT_INSTALLATION:
        found |= {path.relative_to(rootfs) for path in (rootfs / name, *(rootfs / name).rglob("*"))}
    for package in _with_dependencies(rootfs, packages):
        for path in _listed(rootfs, package):
            found |= {path, _compiled(path), _compiled(path).parent}
    return {
        path
        for path in found
        if os.path.lexists(rootfs / path) and not any(map(path.is_relative_to, _LEFT_OUT))
    }


def _with_dependencies(rootfs: Path, packages: Iterable[str]) -> set[str]:
    installed = _installed(rootfs)
    found, todo = set(), set(packages)
    while todo:
        package = todo.pop()
        found.add(package)
        todo |= {name for name in installed[package] if name in installed} - found
    return found


def _installed(rootfs: Path) -> dict[str, list[str]]:
    """The names each package depends on: all alternatives, and virtual ones too."""
    dependencies = {}
    for paragraph in (rootfs / "var/lib/dpkg/status").read_text(encoding="utf-8").split("\n\n"):
        fields = dict(re.findall(r"^(Package|Depends|Pre-Depends): (.*)$", paragraph, re.MULTILINE))
        if fields:
            wanted = ", ".join(fields.get(kind, "") for kind in ("Pre-Depends", "Depends"))
            dependencies[fields["Package"]] = re.findall(r"(?:^|[,|])\s*([a-z0-9.+-]+)", wanted)
    return dependencies


def _listed(rootfs: Path, package: str) -> Iterator[Path]:
    """The package's files; a listed /lib/x is at usr/lib/x, for /lib is a link there."""
    info = rootfs / "var/lib/dpkg/info"
    listing = next(info.glob(f"{package}:*.list"), info / f"{package}.list")
    for line in listing.read_text(encoding="utf-8").splitlines()[1:]:  # the first is the root itself
        path = rootfs / line.lstrip("/")
        yield path.parent.resolve().relative_to(rootfs.resolve()) / path.name


def _compiled(module: Path) -> Path:
    return module.parent / "__pycache__" / f"{module.stem}.cpython-311.pyc"
