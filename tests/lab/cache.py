"""What the lab builds once and keeps: each step is skipped while its sources are what they were when it was last done."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from system import say, timed


@dataclass(frozen=True)
class Step:
    """One thing in the cache; `sources` are files or folders of the project, `after` the steps whose results it is made from."""

    name: str
    title: str
    sources: tuple[Path, ...]
    make: Callable[[], None]
    after: tuple[str, ...] = ()


def build(cache: Path, steps: Iterable[Step]) -> None:
    """Do the steps that are not done."""
    for step in steps:
        current = fingerprint(step.sources, [stamp(cache, name) for name in step.after])
        if stamp(cache, step.name) == current:
            say(f"{step.title}: already there")
            continue
        file = _stamp_file(cache, step.name)
        file.unlink(missing_ok=True)  # an interrupted step must not look done
        with timed(step.title):
            step.make()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(current, encoding="ascii")


def stamp(cache: Path, name: str) -> str:
    """What the step's result was made from; empty when there is none."""
    try:
        return _stamp_file(cache, name).read_text(encoding="ascii")
    except FileNotFoundError:
        return ""


def fingerprint(sources: Iterable[Path], made_from: Iterable[str] = ()) -> str:
    """A hash over the sources' names and contents and over the stamps of earlier steps."""
    digest = hashlib.sha256()
    for source in sources:
        for file in sorted(_files(source)):
            digest.update(f"{file.relative_to(source.parent)}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    for earlier in made_from:
        digest.update(f"{earlier}\0".encode())
    return digest.hexdigest()


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    return [file for file in source.rglob("*") if file.is_file() and "__pycache__" not in file.parts]


def _stamp_file(cache: Path, name: str) -> Path:
    return cache / "stamps" / name
