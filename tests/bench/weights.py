#!/usr/bin/env python3
# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare downloads from the same hub on this machine, into the same file system, in alternating order.

Ours is the module's own code, without Docker, which costs every run the same second. These variables set the size:
BENCH_SHARDS, BENCH_SHARD_MB, BENCH_ROUNDS, BENCH_CONNECTION_MB_PER_SECOND (of a far hub, for one connection), and for
the fan-out BENCH_HUB_MB_PER_SECOND (of the hub, for all hosts together), BENCH_FAN_SHARDS, BENCH_FAN_SHARD_MB,
BENCH_FAN_HOSTS (such as "1 16") and BENCH_FAN_ROUNDS. BENCH_CLIENTS are the versions of the ModelScope client, by default
that of the serving image and the newest one. BENCH_PARTS chooses from "download fanout".
"""

from __future__ import annotations

import ctypes
import hashlib
import multiprocessing
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "lab"), str(ROOT / "tests" / "support")]

import conftest  # noqa: E402, F401 makes the checkout importable as the collection
from ansible_collections.ascend_ops.vllm.plugins.modules import weights_download  # noqa: E402
from hub.faulty import FaultyHub  # noqa: E402
from shards import write_shard  # noqa: E402

CLIENTS = os.environ.get("BENCH_CLIENTS", "1.33.0 newest").split()
PARTS = os.environ.get("BENCH_PARTS", "download fanout").split()
SHARDS, SHARD = int(os.environ.get("BENCH_SHARDS", "8")), int(os.environ.get("BENCH_SHARD_MB", "512")) << 20
# A model's hundred files, but for their size.
FAN_SHARDS, FAN_SHARD = (
    int(os.environ.get("BENCH_FAN_SHARDS", "32")),
    int(float(os.environ.get("BENCH_FAN_SHARD_MB", "64")) * (1 << 20)),
)
FAN_HOSTS = [int(count) for count in os.environ.get("BENCH_FAN_HOSTS", "1 2 4").split()]
FAN_ROUNDS = int(os.environ.get("BENCH_FAN_ROUNDS", "1"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
RATE = float(os.environ.get("BENCH_HUB_MB_PER_SECOND", "100")) * 10**6
RATE_EACH = int(os.environ.get("BENCH_CONNECTION_MB_PER_SECOND", "40")) * 10**6
REPO, TOKEN, PORT, SHARE_PORT = "ZhipuAI/GLM-4.7", "token-of-the-bench", 18090, 18091
ENDPOINT = f"http://127.0.0.1:{PORT}"
WORKERS = weights_download.ARGUMENTS["workers"]["default"]
# Older clients read the hub's name only, and always speak HTTPS with it.
PLAIN = """
import os, sys
from modelscope import HubApi, snapshot_download
for module in list(sys.modules.values()):
    if "MODELSCOPE_URL_SCHEME" in vars(module):
        module.MODELSCOPE_URL_SCHEME = "http://"
HubApi().login(os.environ["MODELSCOPE_API_TOKEN"])
snapshot_download(sys.argv[1], local_dir=sys.argv[2], max_workers=int(sys.argv[3]))
"""


def serve(root: Path, rate: float | None, rate_each: float | None, sent) -> None:
    """Run a hub until the process is ended; its count of bytes is in *sent*."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    hub = FaultyHub(("127.0.0.1", PORT), root, REPO, TOKEN)
    hub.bytes_per_second, hub.bytes_per_second_each = rate, rate_each
    pace = hub.pace

    def count(size: int) -> None:
        with sent.get_lock():
            sent.value += size
        pace(size)

    hub.pace = count
    hub.serve_forever()


@contextmanager
def hub(root: Path, rate: float | None = None, rate_each: float | None = None):
    """A hub in a process of its own, so that it takes no time from who downloads."""
    sent = multiprocessing.Value("q", 0)
    process = multiprocessing.Process(target=serve, args=(root, rate, rate_each, sent), daemon=True)
    process.start()
    while subprocess.run(["curl", "-s", "-o", os.devnull, ENDPOINT], check=False).returncode:
        time.sleep(0.1)
    try:
        yield sent
    finally:
        process.terminate()
        process.join()


def installed(version: str) -> Path:
    """Return a Python that has that version of the ModelScope client."""
    folder = ROOT / ".cache" / "clients" / version  # as in tests/matrix
    if not (folder / "bin" / "modelscope").exists():
        package = "modelscope" if version == "newest" else f"modelscope=={version}"
        subprocess.run(["uv", "venv", "--quiet", "--clear", folder], check=True)
        command = [
            "uv",
            "pip",
            "install",
            "--quiet",
            "--python",
            folder / "bin" / "python",
            package,
            "setuptools<80",
        ]
        subprocess.run(command, check=True)
    return folder / "bin" / "python"


def adopt() -> None:
    """Become the parent of background jobs whose parent has ended, so that what they took can be known."""
    pr_set_child_subreaper = 36
    ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def cpu_seconds() -> float:
    """Return what all children of this process that have ended took of the processors."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Bench:
    """The folders, the files, and who downloads them."""

    def __init__(self, work: Path) -> None:
        self.work, self.root, self.to = work, work / "repository", work / "to"
        self.clients = {version: installed(version) for version in CLIENTS}
        self.client = self.clients[CLIENTS[0]]
        weights_download.NOTES = str(work)

    def make_files(self, count: int, size: int) -> None:
        """Fill the repository with new files."""
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir()
        for number in range(count):
            write_shard(self.root / f"model-{number:05}.safetensors", size)
        self.hashes = {}
        for path in sorted(self.root.iterdir()):
            with path.open("rb") as file:
                self.hashes[path.name] = hashlib.file_digest(file, "sha256").hexdigest()

    # Who downloads

    def plain(self, workers: int, version: str = CLIENTS[0]) -> None:
        environment = {
            **os.environ,
            "MODELSCOPE_ENDPOINT": ENDPOINT,
            "MODELSCOPE_DOMAIN": ENDPOINT.partition("://")[2],
            "MODELSCOPE_API_TOKEN": TOKEN,
            "MODELSCOPE_CACHE": str(self.work / "cache"),
            "MODELSCOPE_CREDENTIALS_PATH": str(self.work / "credentials"),
        }
        done = subprocess.run(
            [self.clients[version], "-c", PLAIN, REPO, self.to, str(workers)],
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"snapshot_download of {version} failed:\n{done.stderr}")

    def ours(
        self, to: Path | None = None, address: str = "", peers: tuple[str, ...] = (), **more: object
    ) -> None:
        to = to or self.to
        fanout = {"peers": list(peers), "address": address, "port": SHARE_PORT, "key": "key"}
        params = {
            **{name: option.get("default") for name, option in weights_download.ARGUMENTS.items()},
            "repo": REPO,
            "endpoint": ENDPOINT,
            "token": TOKEN,
            "python": str(self.client),
            "dir": str(to),
            "cache_dir": f"{to}.cache",
            "fanout": fanout if peers else None,
            **more,
        }
        result = weights_download.poll(params, "", weights_download.job_of(params))
        if result.get("failed"):
            raise RuntimeError(result["msg"])

    def aria2(self) -> None:
        lines = [
            f"{self._url(name)}\n out={name}\n checksum=sha-256={digest}\n"
            for name, digest in self.hashes.items()
        ]
        options = [
            f"--dir={self.to}",
            f"--max-concurrent-downloads={WORKERS}",
            f"--header=Cookie: m_session_id={TOKEN}",
            "--quiet",
            "--file-allocation=none",
        ]
        subprocess.run(["aria2c", *options, "--input-file=-"], input="".join(lines), text=True, check=True)

    def curl(self) -> None:
        lines = [f'url = "{self._url(name)}"\noutput = "{self.to / name}"\n' for name in self.hashes]
        options = [
            "--location",
            "--parallel",
            "--parallel-immediate",
            "--parallel-max",
            str(WORKERS),
            "--silent",
            "--show-error",
            "--no-progress-meter",
            "--fail",
            "--create-dirs",
            "--cookie",
            f"m_session_id={TOKEN}",
        ]
        subprocess.run(["curl", *options, "--config", "-"], input="".join(lines), text=True, check=True)

    def curl_and_sums(self) -> None:
        self.curl()
        sums = [f"{digest}  {name}" for name, digest in self.hashes.items()]
        check = 'printf "%s\\n" "$1" | sha256sum --check --quiet'
        subprocess.run(
            ["xargs", "-P", str(os.cpu_count()), "-d", "\\n", "-n1", "sh", "-c", check, "sh"],
            input="\n".join(sums),
            text=True,
            cwd=self.to,
            check=True,
        )

    def openssl(self) -> None:
        names = "\n".join(self.hashes)
        command = ["xargs", "-P", str(os.cpu_count()), "-n1", "openssl", "dgst", "-sha256"]
        subprocess.run(command, input=names, text=True, cwd=self.to, check=True, stdout=subprocess.DEVNULL)

    def _url(self, name: str) -> str:
        return f"{ENDPOINT}/api/v1/models/{REPO}/repo?Revision=master&FilePath={name}"

    # What is measured

    def clear(self) -> None:
        for path in self.work.glob("to*"):
            shutil.rmtree(path)
        shutil.rmtree(self.work / "cache", ignore_errors=True)
        os.sync()

    def in_turns(
        self, candidates: dict[str, Callable[[], None]], before: Callable[[], None]
    ) -> dict[str, list[float]]:
        times = {name: [] for name in candidates}
        for number in range(ROUNDS):
            # To and fro: who comes after one that left the page cache full pays for it.
            for name in list(candidates)[:: -1 if number % 2 else 1]:
                before()
                began = time.monotonic()
                candidates[name]()
                times[name].append(time.monotonic() - began)
        return times

    def fan_out(self, count: int, sent) -> tuple[float, float, float]:
        """Return the seconds, those of the processors, and the bytes from the hub as a multiple of the files."""
        self.clear()
        before, cpu = sent.value, cpu_seconds()
        addresses = tuple(f"127.0.0.{number + 1}" for number in range(count))
        hosts = [
            partial(self.ours, self.work / f"to-{address}", address, addresses if count > 1 else ())
            for address in addresses
        ]
        processes = [multiprocessing.Process(target=host) for host in hosts]
        began = time.monotonic()
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        seconds = time.monotonic() - began
        time.sleep(1)  # for the background jobs to end
        for address in addresses:
            for name in self.hashes:
                assert (self.work / f"to-{address}" / name).stat().st_size == FAN_SHARD
        assert not any(process.exitcode for process in processes)
        return seconds, cpu_seconds() - cpu, (sent.value - before) / (FAN_SHARDS * FAN_SHARD)


def table(title: str, times: dict[str, list[float]]) -> None:
    """Print the medians, and the spread."""
    print(f"\n{title}\n")
    print("| | median s | from | to | MB/s |\n|---|---|---|---|---|")
    for name, runs in times.items():
        median = statistics.median(runs)
        print(
            f"| {name} | {median:.2f} | {min(runs):.2f} | {max(runs):.2f} | {SHARDS * SHARD / median / 1e6:,.0f} |",
            flush=True,
        )


def downloads(bench: Bench) -> None:
    """Measure downloads with each client, beside other tools."""
    bench.make_files(SHARDS, SHARD)
    print(f"{SHARDS} files of {SHARD >> 20} MiB, {os.cpu_count()} processors, {ROUNDS} rounds in turns")
    candidates, again, deep = {}, {}, {}
    for version, python in bench.clients.items():
        ours = partial(bench.ours, python=str(python))
        candidates[f"ours, client {version}"] = ours
        for workers in (4, WORKERS):
            candidates[f"snapshot_download of {version}, {workers} workers"] = partial(
                bench.plain, workers, version
            )
        again[f"ours, client {version}"] = ours
        again[f"snapshot_download of {version}"] = partial(bench.plain, 4, version)
        deep[f"ours, client {version}, weights_verify"] = partial(bench.ours, python=str(python), verify=True)
    deep["openssl dgst -sha256, one a processor"] = bench.openssl
    others = {
        "aria2c with SHA-256": bench.aria2,
        "curl, then sha256sum": bench.curl_and_sums,
        "curl, not verified": bench.curl,
    }
    candidates.update({name: run for name, run in others.items() if shutil.which(name.split()[0].strip(","))})
    with hub(bench.root):
        table("Download", bench.in_turns(candidates, bench.clear))
        bench.clear()
        bench.ours()
        table("Again, on complete files", bench.in_turns(again, lambda: None))
        table("All read and compared", bench.in_turns(deep, lambda: None))
    with hub(bench.root, rate_each=RATE_EACH):
        title = f"Download from afar, {RATE_EACH // 10**6} MB/s a connection"
        table(title, bench.in_turns(candidates, bench.clear))


def fan_out(bench: Bench) -> None:
    """Measure the fan-out, with the processes of this machine for hosts."""
    bench.make_files(FAN_SHARDS, FAN_SHARD)
    size, rate = f"{FAN_SHARDS} files of {FAN_SHARD / 2**20:g} MiB", f"{RATE / 10**6:g} MB/s"
    print(f"\nFan-out of {size}, {rate} from the hub for all hosts together, client {CLIENTS[0]}\n")
    adopt()
    runs: dict[int, list[tuple[float, float, float]]] = {count: [] for count in FAN_HOSTS}
    with hub(bench.root, RATE) as sent:
        for number in range(FAN_ROUNDS):
            for count in FAN_HOSTS[:: -1 if number % 2 else 1]:
                runs[count].append(bench.fan_out(count, sent))
    print(
        "| hosts | median s | from | to | seconds of processors | bytes from the hub |\n|---|---|---|---|---|---|"
    )
    for count, of_count in runs.items():
        seconds, cpu, sent_bytes = zip(*of_count, strict=True)
        print(
            f"| {count} | {statistics.median(seconds):.1f} | {min(seconds):.1f} | {max(seconds):.1f} "
            f"| {statistics.median(cpu):.1f} | {max(sent_bytes):.3f}x |"
        )


def main() -> None:
    if missing := [tool for tool in ("curl", "openssl", "uv") if not shutil.which(tool)]:
        sys.exit(
            f"{', '.join(missing)} not found, expected for the comparison: install them (Debian: apt-get install curl openssl; uv comes with make env)"
        )
    with tempfile.TemporaryDirectory(prefix="bench-weights-", dir=os.environ.get("BENCH_DIR")) as work:
        bench = Bench(Path(work))
        if "download" in PARTS:
            downloads(bench)
        bench.clear()
        if "fanout" in PARTS:
            fan_out(bench)
        bench.clear()


if __name__ == "__main__":
    main()
