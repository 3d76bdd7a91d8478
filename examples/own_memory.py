"""A memory of your own for the reference model: what does the present see of the past?

hmbench train-reference --preset nano --memory own_memory:EVERY_OTHER --data mini --out every-other
hmbench eval --model own_memory:EVERY_OTHER --option checkpoint=every-other --out runs/every-other
"""

from dataclasses import dataclass

import torch

from reference_model.model.memory import FullMemory, FullSettings, MemoryFacts
from reference_model.model.methods import Method


@dataclass(frozen=True, kw_only=True)
class EveryNthSettings(FullSettings):
    """What can be set: a Method states it, a checkpoint keeps it."""

    every: int = 2


class EveryNth(FullMemory):
    """Every n-th context frame, in full. Override select, pack, plan or attend to remember otherwise.

    Whoever summarises frames or hides some in attend overrides shown, too: it says which are kept in full.
    """

    Settings = EveryNthSettings

    def select(self, context, target):  # cameras [B, Fc, 12] and [B, Ft, 12] of latent frames; their numbers [B, n]
        every = self.settings.every
        chosen = torch.arange(every - 1, context.shape[1], every, device=context.device)
        return chosen.expand(context.shape[0], -1)

    def facts(self, context, target):  # what it costs: tables and cost cards say it
        seen = context.frames // self.settings.every * context.tokens_per_frame + target.tokens
        return MemoryFacts(tokens_seen=seen, noise_reaches_context=True, parameters=self.num_parameters())


EVERY_OTHER = Method(
    name="every-other", description="every second context frame", memory={"kind": EveryNth, "every": 2}
)
