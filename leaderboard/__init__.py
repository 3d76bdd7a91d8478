"""Tables and pages from accepted results."""
