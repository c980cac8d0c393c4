"""A vLLM plugin for engines that share a few cores.

An engine's processes are forked from the one that starts them, which has imported vLLM already. On CPUs vLLM starts each process with a Python of
its own, and the import is most of what an engine with a tiny model does: 30 s until it is ready on two cores, in the place of 15 s. vLLM forks by
itself where VLLM_WORKER_MULTIPROC_METHOD asks for it, but not on CPUs.

An engine computes with one thread, which the system places. vLLM gives each engine a thread on every core. Two engines' threads then spin while
they wait for one another: 12 tokens a second, and a command on a host takes up to 20 s. From 0.23.0 on, vLLM computes in another process than
the one that schedules, so that it can bind threads, and both spin while they wait for one another. Without threads to bind, one process does.

vLLM 0.18.0 does not compute unless LD_PRELOAD has two libraries that make it faster. Here it finds their names there.
"""

import functools
import os
import sys

from vllm.platforms.cpu import CpuPlatform


def register():
    """Choose one thread, and forking after the platform has chosen otherwise. vLLM may call this twice in a process."""
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    if "lab_fork" in vars(CpuPlatform):
        return
    CpuPlatform.lab_fork = True
    choose = CpuPlatform.check_and_update_config

    def choose_fork(vllm_config):
        choose(vllm_config)
        if vllm_config.parallel_config.world_size == 1:
            vllm_config.parallel_config.distributed_executor_backend = "uni"
        os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "fork"
        _compute_without_libraries()

    CpuPlatform.check_and_update_config = staticmethod(choose_fork)
    os.register_at_fork(after_in_child=_forget_prefix)


@functools.cache
def _compute_without_libraries():
    from vllm.v1.worker.cpu_worker import CPUWorker

    init = CPUWorker.init_device

    @functools.wraps(init)
    def wrapped(self):
        preloaded = os.environ.get("LD_PRELOAD", "")
        os.environ["LD_PRELOAD"] = f"{preloaded}:libtcmalloc:libiomp"
        try:
            init(self)
        finally:  # programs that this process starts would complain
            os.environ["LD_PRELOAD"] = preloaded

    CPUWorker.init_device = wrapped


def _forget_prefix():
    """vLLM writes a process's name before each line of its log. A forked process would write its parent's name before its own."""
    for stream in (sys.stdout, sys.stderr):
        vars(stream).pop("write", None)
