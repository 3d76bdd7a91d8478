"""Training of the reference model and of every rival memory: codec, cache, transformer (see docs/training.md)."""
