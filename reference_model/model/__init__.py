"""The transformer, its memories, its codec and its settings."""
