"""A vLLM plugin: expert parallelism over several ranks on CPUs.

The recipe spreads the experts of a mixture-of-experts model over all ranks (--enable-expert-parallel, two data-parallel ranks). vLLM 0.13.0
does so on accelerators; its code for CPUs, which stands in for the NPUs in the lab, takes two things for granted that only hold on one rank:

- CPUFusedMOE looks an expert up by its number in the model, but a rank holds and numbers only its share: IndexError in the warm-up.
- CpuCommunicator neither hands tokens to the other ranks' experts nor adds up what these return: without expert parallelism
  too, every answer would come from one rank's share of the weights, wrong and with no error.

vLLM calls register() in each of its processes. No file of vLLM is touched, so the package in the image is as it was released.
"""

from vllm.distributed.device_communicators.all2all import NaiveAll2AllManager
from vllm.distributed.device_communicators.cpu_communicator import CpuCommunicator
from vllm.model_executor.layers.fused_moe import cpu_fused_moe
from vllm.platforms.cpu import CpuPlatform


class ExpertParallelFusedMoE(cpu_fused_moe.CPUFusedMOE):
    """Experts in the model's numbering; those of other ranks contribute zeros here, and their values there."""

    def __init__(self, layer):
        width, hidden_size = layer.w13_weight.shape[1:]  # before the base class may release the weights
        super().__init__(layer)
        if layer.expert_map is not None:
            own = layer.expert_map.tolist()  # for each expert of the model its number on this rank, or -1
            layer.gate_up_linear = [layer.gate_up_linear[i] if i >= 0 else _zeros(width) for i in own]
            layer.down_linear = [layer.down_linear[i] if i >= 0 else _zeros(hidden_size) for i in own]


class ExpertParallelCommunicator(CpuCommunicator):
    """Every rank gets the tokens of all, and the sum of what all ranks' experts made of its own."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.use_all2all:
            self.all2all_manager = NaiveAll2AllManager(self.cpu_group)

    def dispatch(self, hidden_states, router_logits, is_sequence_parallel=False):
        if not self.use_all2all:
            return hidden_states, router_logits
        return self.all2all_manager.dispatch(hidden_states, router_logits, is_sequence_parallel)

    def combine(self, hidden_states, is_sequence_parallel=False):
        if not self.use_all2all:
            return hidden_states
        return self.all2all_manager.combine(hidden_states, is_sequence_parallel)


def register():
    """Put both into the place of vLLM's own."""
    cpu_fused_moe.CPUFusedMOE = ExpertParallelFusedMoE
    CpuPlatform.get_device_communicator_cls = classmethod(
        lambda cls: f"{__name__}.{ExpertParallelCommunicator.__name__}"
    )


def _zeros(width):
    return lambda tokens: tokens.new_zeros(len(tokens), width)
