"""Rival memories on the reference model's backbone, and the trivial models that anchor every table."""
