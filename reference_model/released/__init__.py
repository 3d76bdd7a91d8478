"""The released files: fetched, checked, renamed, converted."""
