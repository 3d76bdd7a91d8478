"""A run: what was asked, and its three stages generate, track, score."""
