"""A vLLM plugin: expert parallelism over several ranks on CPUs.

The recipe spreads the experts of a mixture-of-experts model over all ranks (--enable-expert-parallel, two data-parallel ranks). vLLM
does so on accelerators. Its code for CPUs, which stands in for the NPUs in the lab, takes two things for granted that only hold on one rank:

- CPUFusedMOE, and CPUUnquantizedExperts in 0.30, look an expert up by its number in the model, but a rank holds and numbers only its share:
  IndexError in the warm-up, or a crash.
- CpuCommunicator does not hand tokens to the other ranks' experts and add up what these return. 0.13 has no manager for it, and without
  expert parallelism too, every answer would come from one rank's share of the weights, wrong and with no error. From 0.23 on it has one
  that calls all_gatherv and reduce_scatterv, which it does not have.

vLLM calls register() in each of its processes. No file of vLLM is touched, so the package in the image is as it was released.
"""

import functools

import torch
from torch import distributed

from vllm.distributed.device_communicators.all2all import AgRsAll2AllManager
from vllm.distributed.device_communicators.cpu_communicator import CpuCommunicator
from vllm.platforms.cpu import CpuPlatform


class ExpertParallelCommunicator(CpuCommunicator):
    """Every rank gets the tokens of all, and the sum of what all ranks' experts made of its own."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.use_all2all:
            self.all2all_manager = AgRsAll2AllManager(self.cpu_group)

    def dispatch(self, *args):
        return self.all2all_manager.dispatch(*args) if self.use_all2all else args[:2]

    def combine(self, *args):
        return self.all2all_manager.combine(*args) if self.use_all2all else args[0]

    def all_gatherv(self, input_, dim=0, sizes=None):
        if isinstance(input_, list):
            return [self.all_gatherv(one, dim, sizes) for one in input_]
        padded = input_.new_zeros(max(sizes), *input_.shape[1:])
        padded[: len(input_)] = input_
        gathered = [torch.empty_like(padded) for _ in sizes]
        distributed.all_gather(gathered, padded, group=self.cpu_group)
        return torch.cat([one[:size] for one, size in zip(gathered, sizes, strict=True)])

    def reduce_scatterv(self, input_, dim=0, sizes=None):
        total = input_.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total, group=self.cpu_group)
        return total.split(sizes)[self.rank_in_group].clone()


@functools.cache
def register():
    """Put all this into the place of vLLM's own, once: vLLM may call this twice in a process."""
    CpuPlatform.get_device_communicator_cls = classmethod(
        lambda cls: f"{__name__}.{ExpertParallelCommunicator.__name__}"
    )
    try:
        from vllm.model_executor.layers.fused_moe import cpu_fused_moe
    except ImportError:
        from vllm.model_executor.layers.fused_moe.experts.cpu_moe import CPUUnquantizedExperts

        CPUUnquantizedExperts.apply = _by_own_numbers(CPUUnquantizedExperts.apply)
    else:
        experts = cpu_fused_moe.CPUFusedMOE
        experts.__init__ = _by_numbers_of_the_model(experts.__init__)
        experts.check_grouped_gemm = lambda self, layer: (False, "none")  # it has no list of experts
        if hasattr(
            cpu_fused_moe, "_CPU_MOE_ACT_FN"
        ):  # 0.23 makes a layer for each call, outside of the context that it needs
            silu = cpu_fused_moe.MoEActivation.SILU
            cpu_fused_moe._CPU_MOE_ACT_FN[silu] = cpu_fused_moe.SiluAndMul.forward_native


def _by_numbers_of_the_model(init):
    """Experts in the model's numbering; those of other ranks contribute zeros here, and their values there."""

    @functools.wraps(init)
    def wrapped(self, layer):
        width, hidden_size = layer.w13_weight.shape[1:]  # before the weights may be released
        init(self, layer)
        if layer.expert_map is not None:
            own = layer.expert_map.tolist()  # for each expert of the model its number on this rank, or -1
            layer.gate_up_linear = [layer.gate_up_linear[i] if i >= 0 else _zeros(width) for i in own]
            layer.down_linear = [layer.down_linear[i] if i >= 0 else _zeros(hidden_size) for i in own]

    return wrapped


def _by_own_numbers(apply):
    """Experts in this rank's numbering; those of other ranks weigh nothing here."""

    @functools.wraps(apply)
    def wrapped(self, *, topk_weights, topk_ids, expert_map, **others):
        if expert_map is not None:
            own = expert_map[topk_ids.long()]
            topk_weights, topk_ids = topk_weights.masked_fill(own < 0, 0), own.clamp(min=0).to(topk_ids.dtype)
        return apply(self, topk_weights=topk_weights, topk_ids=topk_ids, expert_map=expert_map, **others)

    return wrapped


def _zeros(width):
    return lambda tokens: tokens.new_zeros(len(tokens), width)
