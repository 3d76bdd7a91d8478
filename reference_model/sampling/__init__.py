"""From a prompt to frames: the sampler, and the world models that hmbench meets."""
