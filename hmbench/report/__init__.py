"""Rows become tables, comparisons and pictures."""
