"""HM-World, the mini world, and people's own clips, all as `hmbench.types.Sample`."""
