# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model directory on a real disk, and the way from a request to a verified one."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import ProblemError
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import folder as folders
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights import sources
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.comparison import Comparison
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.download import Download
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.folder import Folder
from ansible_collections.ascend_ops.vllm.plugins.module_utils._weights.listing import (
    MANIFEST,
    Choice,
    File,
    Request,
    Snapshot,
)

SHARD = '{"weight": {"dtype": "U8", "shape": [%d], "data_offsets": [0, %d]}}'


def shard(size: int = 600) -> str:
    """Return a file of safetensors whose tensor has so many bytes, all of them ASCII."""
    header = SHARD % (size, size)
    return len(header).to_bytes(8, "little").decode() + header + "w" * size


TEXTS = {"config.json": "{}", "sub/model.safetensors": shard(), "README.md": "docs"}
REQUEST = Request("a/b", "master", Choice(["*"], []))
COMMIT = "1" * 40


def file_of(path: str, text: str) -> File:
    return File(path, len(text), hashlib.sha256(text.encode()).hexdigest())


def snapshot_of(texts: dict[str, str] = TEXTS) -> Snapshot:
    return Snapshot(COMMIT, [file_of(path, text) for path, text in texts.items()])


def write(folder: Path, texts: dict[str, str] = TEXTS) -> Path:
    for path, text in texts.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


def report(progress: Any) -> None:
    """Take the progress, as Ansible does now and then."""
    assert set(progress()) == {"stage", "done", "all"}


class Hub(sources.Source):
    """A source that writes what it has, which may be something else than is listed."""

    def __init__(
        self, listed: dict[str, str] = TEXTS, has: dict[str, str] | None = None, **more: Any
    ) -> None:
        self.listing = sources.GivenListing(snapshot_of(listed))
        self._has, self.fetched, self.opened = has or listed, [], 0
        self.compares = True
        for name, value in more.items():
            setattr(self, name, value)

    def open(self) -> None:
        self.opened += 1

    def fetch(self, folder: Folder, snapshot: Snapshot, missing: list[File]) -> list[File]:
        self.fetched += sorted(file.path for file in missing)
        write(Path(folder.path), {file.path: self._has[file.path] for file in missing})
        return missing if self.compares else []


def run(path: Path, source: sources.Source, request: Request = REQUEST, **more: Any) -> Download:
    download = Download("http://hub", request, Folder(str(path)), source, more.pop("keep", ()))
    download.run(report, **more)
    return download


# The way to a verified folder


def test_all_is_fetched_once_and_then_known(tmp_path):
    source = Hub()
    first = run(tmp_path / "model", source)
    assert source.fetched == sorted(TEXTS)
    assert (first.verified_files, first.differing, first.recorded, first.is_known) == (0, [], False, False)
    again = run(tmp_path / "model", source)
    assert source.fetched == sorted(TEXTS)
    assert source.opened == 1
    assert (again.is_known, again.recorded, again.verified_files) == (True, True, 0)
    manifest = Folder(str(tmp_path / "model")).manifest
    assert manifest.snapshot == snapshot_of()
    assert manifest.endpoint == "http://hub"


@pytest.mark.parametrize("compares", [True, False])
def test_what_arrives_wrong_is_found_if_it_was_not_compared_on_arrival(tmp_path, compares):
    source = Hub(has={**TEXTS, "config.json": "[]"}, compares=compares)
    if compares:
        run(tmp_path, source)  # the source has vouched for it
        return
    with pytest.raises(ProblemError, match=r"config\.json"):
        run(tmp_path, source)
    assert not (tmp_path / "config.json").exists()
    assert (tmp_path / "README.md").exists()
    assert not (tmp_path / MANIFEST).exists()


def test_only_what_is_wrong_or_missing_is_fetched(tmp_path):
    write(tmp_path, {**TEXTS, "config.json": "[]"})
    (tmp_path / "README.md").unlink()
    source = Hub()
    done = run(tmp_path, source)
    assert source.fetched == ["README.md", "config.json"]
    assert done.differing == ["config.json"]
    assert done.verified_files == 2  # the other two were read: one right, one wrong
    assert (tmp_path / "config.json").read_text(encoding="utf-8") == "{}"


def test_the_progress_of_both_stages_is_told(tmp_path):
    told: list[dict[str, Any]] = []
    write(tmp_path, {**TEXTS, "config.json": "[]"})
    source = Hub(compares=False)
    size = sum(len(text) for text in TEXTS.values())
    download = Download("http://hub", REQUEST, Folder(str(tmp_path)), source)
    download.run(lambda progress: told.append(progress()))
    assert told == [
        {"stage": "verified", "done": 0, "all": size},  # what was here
        {"stage": "fetched", "done": 0, "all": 2},
        {"stage": "verified", "done": 0, "all": 2},  # what came
    ]
    download.source.shares = True
    download.found = Comparison([], [], [])
    download.fetch(lambda progress: told.append(progress()))
    assert told[-1] == {"stage": "complete, serving other hosts;", "done": 0, "all": 0}


def test_what_is_wrong_is_gone_before_it_is_fetched(tmp_path):
    """Else a client may take it for what it has to fetch."""
    write(tmp_path, {**TEXTS, "config.json": "[]"})
    there: list[bool] = []

    class Looking(Hub):
        def fetch(self, folder: Folder, snapshot: Snapshot, missing: list[File]) -> list[File]:
            there.extend((tmp_path / path).exists() for path in ("config.json", "README.md"))
            return super().fetch(folder, snapshot, missing)

    run(tmp_path, Looking())
    assert there == [False, True]


def test_a_file_that_changed_is_read_again_and_fetched(tmp_path):
    source = Hub()
    run(tmp_path, source)
    (tmp_path / "config.json").write_text("[]", encoding="utf-8")
    done = run(tmp_path, source)
    assert (done.differing, done.verified_files) == (["config.json"], 1)
    assert source.fetched.count("config.json") == 2


def test_a_change_that_does_not_show_is_found_by_reading_all(tmp_path):
    source = Hub()
    run(tmp_path, source)
    file = tmp_path / "config.json"
    times = file.stat()
    file.write_text("[]", encoding="utf-8")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert run(tmp_path, source).differing == []
    assert run(tmp_path, source, reread=True).differing == ["config.json"]


def test_a_manifest_of_another_request_or_another_listing_is_none(tmp_path):
    run(tmp_path, Hub())
    other = REQUEST._replace(revision="v2")
    assert not run(tmp_path, Hub(), other).is_known
    listed = {**TEXTS, "config.json": "[1]"}
    source = Hub(listed)
    assert not run(tmp_path, source, other).is_known
    assert source.fetched == ["config.json"]


def test_a_branch_that_moved_is_listed_anew_if_the_source_cannot_bring_the_old(tmp_path):
    for keeps, known in ((True, True), (False, False)):
        path = tmp_path / str(keeps)
        run(path, Hub())
        (path / "config.json").unlink()
        assert run(path, Hub(keeps_revision=keeps)).is_known is known


def test_a_host_with_all_files_serves_those_that_depend_on_it(tmp_path):
    run(tmp_path, Hub())
    source = Hub(shares=True)
    run(tmp_path, source)
    assert (source.opened, source.fetched) == (1, [])


def test_files_that_a_source_replaced_are_told_and_recorded(tmp_path):
    run(tmp_path, Hub())
    done = run(tmp_path, Hub(shares=True, replaced=["config.json"]))
    assert done.differing == ["config.json"]
    assert Folder(str(tmp_path)).manifest.hashed.keys() == set(TEXTS)


def test_a_file_that_was_edited_stays(tmp_path):
    write(tmp_path, {**TEXTS, "config.json": "[7]"})
    source = Hub()
    done = run(tmp_path, source, keep=["*.json"])
    assert source.fetched == []
    assert (tmp_path / "config.json").read_text(encoding="utf-8") == "[7]"
    assert done.listed == snapshot_of()
    assert done.snapshot != done.listed
    again = run(tmp_path, source, keep=["*.json"])
    assert again.is_known
    assert run(tmp_path, source).differing == ["config.json"]


def test_a_large_file_cannot_be_an_edited_one(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "KEPT_BYTES", 2)
    write(tmp_path)
    run(tmp_path, Hub(), keep=["config.json"])
    with pytest.raises(ProblemError, match="up to 2 B"):
        run(tmp_path, Hub(), keep=["README.md"])


def test_a_shard_that_the_index_names_must_be_listed(tmp_path):
    index = '{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}'
    texts = {"model.safetensors.index.json": index, "model-1.safetensors": shard()}
    with pytest.raises(ProblemError, match="model-2"):
        run(tmp_path, Hub(texts))
    run(tmp_path, Hub({**texts, "model-2.safetensors": shard()}))


def test_a_comparison_without_report_reads_and_changes_nothing(tmp_path):
    write(tmp_path)
    (tmp_path / "README.md").unlink()
    download = Download("http://hub", REQUEST, Folder(str(tmp_path)), Hub())
    download.compare()
    assert [file.path for file in download.found.wrong] == ["README.md"]
    assert download.verified_files == 2
    assert sorted(os.listdir(tmp_path)) == ["config.json", "sub"]


# The folder


def test_a_link_is_refused_unless_it_is_one_of_the_cache(tmp_path):
    blobs, model = write(tmp_path / "cache/blobs"), tmp_path / "cache/model"
    model.mkdir()
    (model / "config.json").symlink_to("../blobs/config.json")
    files = [file_of("config.json", "{}")]
    with pytest.raises(ProblemError, match="a link to"):
        Folder(str(model)).stats(files)
    assert Folder(str(model), links=str(tmp_path / "cache")).stats(files)["config.json"].size == 2
    with pytest.raises(ProblemError, match="relative links"):
        Folder(str(model), links=str(tmp_path / "cache/bl")).stats(files)
    (model / "config.json").unlink()
    (model / "config.json").symlink_to(blobs / "config.json")  # it leads elsewhere in a container
    with pytest.raises(ProblemError, match="a link to"):
        Folder(str(model), links=str(tmp_path / "cache")).stats(files)


def test_files_behind_a_folder_that_is_a_link_are_refused(tmp_path):
    write(tmp_path / "other")
    (tmp_path / "model").mkdir()
    (tmp_path / "model/sub").symlink_to(tmp_path / "other/sub")
    with pytest.raises(ProblemError, match="below such a link"):
        Folder(str(tmp_path / "model")).stats(snapshot_of().files)


def test_a_file_that_came_meanwhile_is_not_removed(tmp_path):
    folder = Folder(str(write(tmp_path, {**TEXTS, "config.json": "[]"})))
    files = [file_of("config.json", "{}"), file_of("README.md", "other")]
    assert folder.compare(files, report).wrong == files
    (tmp_path / "config.json").write_text("{ }", encoding="utf-8")
    folder.remove(files)
    assert (tmp_path / "config.json").exists()
    assert not (tmp_path / "README.md").exists()


def test_incomplete_files_count_as_what_is_there(tmp_path):
    write(tmp_path, {"a.incomplete": "123", "._____temp/b": "12", "c": "1", "c.incomplete": "12345"})
    files = [file_of(path, "x" * 10) for path in ("a", "b", "c", "d")]
    assert Folder(str(tmp_path)).bytes_present(files) == 3 + 2 + 5


def test_a_copy_is_another_name_of_the_file_and_a_wrong_one_leaves_nothing(tmp_path):
    source, target = write(tmp_path / "usb"), tmp_path / "model"
    files = snapshot_of().files
    Folder(str(target)).copy_from(str(source), files)
    assert (target / "sub/model.safetensors").samefile(source / "sub/model.safetensors")
    (target / "config.json").unlink()
    (source / "config.json").write_text("[]", encoding="utf-8")
    (target / "config.json.incomplete").write_text("left from before", encoding="utf-8")
    with pytest.raises(ProblemError, match=r"config\.json"):
        Folder(str(target)).copy_from(str(source), files[:1])
    assert sorted(os.listdir(target)) == ["README.md", "sub"]


def test_a_copy_without_links_has_the_same_content(tmp_path, monkeypatch):
    def refuse(*_paths: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    source, target = write(tmp_path / "usb"), tmp_path / "model"
    Folder(str(target)).copy_from(str(source), snapshot_of().files)
    assert not (target / "config.json").samefile(source / "config.json")
    assert (target / "sub/model.safetensors").read_text(encoding="utf-8") == TEXTS["sub/model.safetensors"]


def test_everyone_may_read_the_manifest_and_nothing_else_is_left(tmp_path):
    mask = os.umask(0o077)
    try:
        run(tmp_path, Hub())
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / MANIFEST).stat().st_mode) == 0o644
    assert sorted(os.listdir(tmp_path)) == sorted([MANIFEST, "README.md", "config.json", "sub"])


def test_files_that_did_not_come_are_not_recorded(tmp_path):
    folder = Folder(str(write(tmp_path)))
    folder.mark_verified([*snapshot_of().files, file_of("missing", "x")])
    assert folder.hashed.keys() == set(TEXTS)


def test_a_disk_that_is_too_small_is_told_before_the_first_byte(tmp_path):
    space = os.statvfs(tmp_path)
    free = space.f_bavail * space.f_frsize
    folders.require_space(str(tmp_path / "new/model"), "dir", 1)
    with pytest.raises(ProblemError, match=r"O\(dir\)"):
        folders.require_space(str(tmp_path / "new/model"), "dir", free + (1 << 40))


def test_the_option_for_the_place_of_the_manifest_is_named(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    folder = Folder(str(tmp_path / "file/model"))
    with pytest.raises(ProblemError, match=r"O\(dir\)"):
        folder.require_place_for_manifest()
    folder.manifest_path = str(tmp_path / "file/notes/manifest.json")
    with pytest.raises(ProblemError, match=r"O\(cache_dir\)"):
        folder.require_place_for_manifest()


def test_a_file_that_cannot_be_read_is_empty(tmp_path):
    folder = Folder(str(write(tmp_path)))
    assert (folder.read("README.md"), folder.read("none")) == ("docs", "")
    (tmp_path / "odd").write_bytes(b"a\xff")
    assert folder.read("odd") == "a\ufffd"


def test_a_place_that_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ProblemError, match="not a writable folder"):
        folders.require_space(str(tmp_path / "file/model"), "dir")


def test_the_nearest_folder_that_exists(tmp_path):
    assert folders.existing(str(tmp_path / "a/b")) == str(tmp_path)
    assert folders.existing(str(tmp_path)) == str(tmp_path)
    assert folders.is_linkable(str(tmp_path), str(tmp_path / "a/b"))
    assert not folders.is_linkable(str(tmp_path / "none"), str(tmp_path))
    assert not folders.is_linkable("/proc", str(tmp_path))


# Where files come from


def test_a_folder_that_was_filled_elsewhere_is_copied(tmp_path):
    usb = tmp_path / "usb"
    run(usb, Hub())
    source = sources.FolderSource(sources.ManifestListing(str(usb), REQUEST), str(usb))
    done = run(tmp_path / "model", source)
    assert done.snapshot == snapshot_of()
    assert run(tmp_path / "model", source).is_known
    with pytest.raises(ProblemError, match="is of a/b master"):
        sources.ManifestListing(str(usb), REQUEST._replace(revision="v2")).read()
    with pytest.raises(ProblemError, match="missing or damaged"):
        sources.ManifestListing(str(tmp_path / "none"), REQUEST).read()


def test_a_folder_without_a_manifest_has_none_of_the_files(tmp_path):
    usb = write(tmp_path / "usb")
    listing = sources.GivenListing(snapshot_of())
    with pytest.raises(ProblemError, match=r"other files.*: README\.md, config\.json"):
        run(tmp_path / "model", sources.FolderSource(listing, str(usb)))


def test_a_folder_with_other_files_than_the_others_is_refused(tmp_path):
    usb = tmp_path / "usb"
    run(usb, Hub())
    listing = sources.GivenListing(snapshot_of({**TEXTS, "config.json": "[1]"}))
    with pytest.raises(ProblemError, match=r"other files.*: config\.json"):
        run(tmp_path / "model", sources.FolderSource(listing, str(usb)))


def test_a_manifest_listing_confirms_its_own_files_and_those_that_it_cannot_see(tmp_path):
    run(tmp_path, Hub())
    listing = sources.ManifestListing(str(tmp_path), REQUEST)
    assert listing.confirms(snapshot_of())
    assert not listing.confirms(snapshot_of({"a": "b"}))
    assert sources.ManifestListing(str(tmp_path / "none"), REQUEST).confirms(snapshot_of({"a": "b"}))
    other = REQUEST._replace(repo="c/d")
    assert sources.ManifestListing(str(tmp_path), other).confirms(snapshot_of({"a": "b"}))


def test_without_a_source_all_that_a_server_reads_must_be_there(tmp_path):
    write(tmp_path, {path: text for path, text in TEXTS.items() if path != "README.md"})
    listing = sources.GivenListing(snapshot_of())
    done = run(tmp_path, sources.NoSource(listing))
    assert [file.path for file in done.snapshot.files] == ["config.json", "sub/model.safetensors"]
    (tmp_path / "config.json").write_text("[]", encoding="utf-8")
    (tmp_path / "sub/model.safetensors").unlink()
    with pytest.raises(ProblemError) as caught:
        run(tmp_path, sources.NoSource(listing), REQUEST._replace(revision="v2"))
    assert "wrong size or SHA-256" in str(caught.value)
    assert "missing in" in str(caught.value)


def test_checksums_name_the_files(tmp_path):
    folder = Folder(str(write(tmp_path / "model")))
    sums = tmp_path / "sums"
    lines = [f"{file.sha256}  {file.path}" for file in snapshot_of().files]
    sums.write_text("\n".join([*lines, "0" * 64 + "  absent.bin"]), encoding="utf-8")
    read = sources.ChecksumListing(str(sums), folder, Choice(["*"], ["*.md"])).read()
    assert {file.path: file.size for file in read.files} == {
        "config.json": 2,
        "sub/model.safetensors": len(shard()),
        "absent.bin": 0,
    }
    with pytest.raises(ProblemError, match="cannot be read"):
        sources.ChecksumListing(str(tmp_path / "none"), folder, Choice(["*"], [])).read()


def test_a_source_needs_space_for_what_is_not_there_yet(tmp_path):
    space = os.statvfs(tmp_path)
    size = space.f_bavail * space.f_frsize + (1 << 40)
    wrong = [File("large", size, "0" * 64)]
    folder = Folder(str(tmp_path))
    with pytest.raises(ProblemError, match=r"(?s)the disk of .* O\(dir\)"):
        sources.Source().require(folder, Snapshot("", wrong), Comparison([], [], wrong))
    with (tmp_path / "large.incomplete").open("wb") as part:
        part.truncate(min(size - 1, 1 << 43))  # a hole: all but a rest is there
    if size - (1 << 43) < space.f_bavail * space.f_frsize:
        sources.Source().require(folder, Snapshot("", wrong), Comparison([], [], wrong))


def test_a_source_that_fetches_nothing_needs_no_space(tmp_path):
    sources.Source().require(Folder(str(tmp_path)), snapshot_of(), Comparison([], [], []))
