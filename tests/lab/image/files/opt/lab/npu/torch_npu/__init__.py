"""In the place of torch_npu, for the real torch without NPUs: device nodes count as NPUs, memory is the host's, and HCCL is Gloo.

What it plays beside healthy NPUs is in the environment variable LAB_TORCH_NPU, as JSON: `hidden`, how many NPUs it does not see;
`import_error`, `add_error`, `group_error`, the text of an exception; `wrong_on`, a rank whose sums are wrong; `dies_on`, an NPU whose
process is killed.
"""

import functools
import glob
import json
import os
import re
import signal
import types

import torch
import torch.distributed as dist

ILLS = json.loads(os.environ.get("LAB_TORCH_NPU") or "{}")
DEVICES = os.environ.get("LAB_TORCH_NPU_DEVICES", "/dev/davinci[0-9]*")

if "import_error" in ILLS:
    raise ImportError(ILLS["import_error"])


def device_count() -> int:
    """The NPUs that the container has, as far as ASCEND_RT_VISIBLE_DEVICES lets them be seen."""
    count = len(glob.glob(DEVICES))
    visible = os.environ.get("ASCEND_RT_VISIBLE_DEVICES", "")
    return min(count, len(visible.split(",")) if visible else count) - ILLS.get("hidden", 0)


def set_device(index: int) -> None:
    """Open a device. Only a process that does so gets tensors on it, and HCCL: the engine, which imports this as well, keeps its torch."""
    if not 0 <= index < device_count():
        raise RuntimeError(f"SetDevice(device_id_), error code is 107001, invalid device ID {index}")
    if ILLS.get("dies_on") == index:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "add_error" in ILLS:
        raise RuntimeError(ILLS["add_error"])
    for name in ("arange", "full", "ones"):
        setattr(torch, name, _on_host(getattr(torch, name)))
    if "wrong_on" in ILLS:
        _all_reduce = dist.all_reduce
        dist.all_reduce = lambda tensor: (
            _all_reduce(tensor),
            tensor.add_(dist.get_rank() == ILLS["wrong_on"]),
        )
    dist.Backend.register_backend("hccl", _group, devices=["cpu"])


def _on_host(create):
    """What makes tensors takes the device npu, and makes them in the host's memory."""

    @functools.wraps(create)
    def made(*arguments, device=None, **options):
        if re.match(r"npu(:\d+)?$", str(device)):
            device = "cpu"
        return create(*arguments, device=device, **options)

    return made


def _group(store, rank, size, timeout):
    """Make a group of Gloo; the NIC is that of the environment."""
    if "group_error" in ILLS:
        raise RuntimeError(ILLS["group_error"])
    return dist.ProcessGroupGloo(store, rank, size, timeout=timeout)


torch.npu = types.SimpleNamespace(
    device_count=device_count,
    set_device=set_device,
    is_available=lambda: False,  # for libraries that would use it in the place of the CPU
)
