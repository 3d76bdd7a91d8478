"""HyDRA, the reference model: a Wan-style video diffusion transformer whose self-attention retrieves memory tokens."""
