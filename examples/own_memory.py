"""A memory of your own for the reference model: what does the present see of the past?

hmbench train-reference --preset nano --memory own_memory:EVERY_OTHER --data mini --out every-other
hmbench eval --model own_memory:EVERY_OTHER --option checkpoint=every-other
"""

import torch

from reference_model.model.memory import FullMemory, MemoryFacts
from reference_model.model.methods import Method


class EveryOther(FullMemory):
    """Every second context frame, in full. Override select, pack, plan or attend to remember otherwise."""

    def select(self, context, target):  # cameras [B, Fc, 12] and [B, Ft, 12] of latent frames; their numbers [B, n]
        chosen = torch.arange(1, context.shape[1], 2, device=context.device)
        return chosen.expand(context.shape[0], -1)

    def facts(self, context, target):  # what it costs: tables and cost cards say it
        seen = context.frames // 2 * context.tokens_per_frame + target.tokens
        return MemoryFacts(tokens_seen=seen, noise_reaches_context=True, parameters=self.num_parameters())


EVERY_OTHER = Method(name="every-other", description="every second context frame", memory={"kind": EveryOther})
