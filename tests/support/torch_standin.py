# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the smoke test of a container uses of torch, over files in place of a network; `write` makes packages of it.

TORCH_ILLS says what is ill: `npus`, how many there are; `import_error`; `needs`, a module that torch_npu imports; `add_error`; `dies_on`, the number of an NPU;
`exits_on`, the same with an exit code; `group_error`; and `wrong`, the name of an operation that gives a wrong result.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ILLS: dict[str, Any] = json.loads(os.environ.get("TORCH_ILLS", "{}"))
MOST = 4  # elements of a tensor that are kept
float32 = "float32"


def write(folder: Path, with_npu: bool = True) -> None:
    """Write the packages torch and, if it is there, torch_npu."""
    (folder / "torch").mkdir(parents=True)
    source = Path(__file__).read_text(encoding="utf-8")
    (folder / "torch/__init__.py").write_text(source, encoding="utf-8")
    (folder / "torch/distributed.py").write_text("from torch import *\n", encoding="utf-8")
    if with_npu:
        text = (
            "import torch\nif 'import_error' in torch.ILLS: raise ImportError(torch.ILLS['import_error'])\n"
            "if 'needs' in torch.ILLS: __import__(torch.ILLS['needs'])\n"
        )
        (folder / "torch_npu.py").write_text(text, encoding="utf-8")


class Tensor:
    """Some numbers."""

    def __init__(self, values: list[float]) -> None:
        self.values = values

    def _each(self, other: Any, operate: Any) -> Tensor:
        others = other.values if isinstance(other, Tensor) else [other] * len(self.values)
        return Tensor([operate(one, two) for one, two in zip(self.values, others, strict=True)])

    def __add__(self, other: Any) -> Tensor:
        return self._each(other, lambda one, two: one + two + (ILLS.get("wrong") == "add"))

    def __mul__(self, other: Any) -> Tensor:
        return self._each(other, lambda one, two: one * two)

    def eq(self, other: Any) -> Tensor:
        return self._each(other, lambda one, two: one == two)

    def cpu(self) -> Tensor:
        return self

    def all(self) -> bool:
        return all(self.values)


def full(shape: tuple[int], value: float, device: str = "") -> Tensor:
    require_own(device)
    return Tensor([value] * min(shape[0], MOST))


def ones(count: int, device: str = "") -> Tensor:
    if "add_error" in ILLS:
        raise RuntimeError(ILLS["add_error"])
    return full((count,), 1.0, device)


def arange(count: int, dtype: str = "", device: str = "") -> Tensor:
    return Tensor([float(number) for number in range(count)])


def empty_like(tensor: Tensor) -> Tensor:
    return Tensor([-1.0] * len(tensor.values))


def set_device(index: int) -> None:
    npu.device = f"npu:{index}"
    if ILLS.get("dies_on") == index:
        os.kill(os.getpid(), signal.SIGSEGV)
    if ILLS.get("exits_on") == index:
        os._exit(3)


npu = SimpleNamespace(device_count=lambda: ILLS.get("npus", 1), set_device=set_device, device="npu:0")


def require_own(device: str) -> None:
    """Fail if a process would use memory of the NPU of another one as well."""
    if device not in ("", npu.device):
        raise RuntimeError(f"the device of this process is {npu.device}, not {device}")


class TCPStore:
    """Values by their keys, each in a file. One process has them, and the others look for it."""

    def __init__(self, head: str, port: int, _size: Any, is_master: bool, timeout: Any, *_more: Any) -> None:
        self._folder = Path(os.environ["TORCH_STORE"], f"{head}-{port}")
        if is_master:
            self._folder.mkdir()  # an error if another process has them
        end = time.monotonic() + timeout.total_seconds()
        while not self._folder.exists():
            if time.monotonic() > end:
                raise RuntimeError("connect timeout")
            time.sleep(0.01)

    def _file(self, key: str) -> Path:
        return self._folder / key.replace("/", "-")

    def set(self, key: str, value: str) -> None:
        new = self._file(f"{key}.{os.getpid()}.new")
        new.write_text(value, encoding="utf-8")
        new.rename(self._file(key))

    def get(self, key: str) -> str:
        return self._file(key).read_text(encoding="utf-8")

    def check(self, keys: list[str]) -> bool:
        return all(self._file(key).exists() for key in keys)

    def wait(self, keys: list[str], timeout: Any) -> None:
        end = time.monotonic() + timeout.total_seconds()
        while not self.check(keys):
            if time.monotonic() > end:
                raise RuntimeError("wait timeout")
            time.sleep(0.01)


def PrefixStore(_prefix: str, store: TCPStore) -> TCPStore:
    return store


group = SimpleNamespace()


def init_process_group(_backend: str, store: TCPStore, rank: int, world_size: int, timeout: Any) -> None:
    if "group_error" in ILLS:
        raise RuntimeError(ILLS["group_error"])
    group.store, group.rank, group.size, group.timeout = store, rank, world_size, timeout


def _gathered(step: str, tensor: Tensor) -> list[list[float]]:
    """Return the tensors of all ranks."""
    group.store.set(f"{step}/{group.rank}", json.dumps(tensor.values))
    keys = [f"{step}/{rank}" for rank in range(group.size)]
    group.store.wait(keys, group.timeout)
    found = [json.loads(group.store.get(key)) for key in keys]
    return [[value + (ILLS.get("wrong") == step) for value in values] for values in found]


def all_reduce(tensor: Tensor) -> None:
    tensor.values = [sum(values) for values in zip(*_gathered("reduce", tensor), strict=True)]


def all_to_all_single(taken: Tensor, given: Tensor) -> None:
    taken.values = [values[group.rank] for values in _gathered("exchange", given)]
