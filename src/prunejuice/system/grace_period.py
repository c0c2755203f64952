"""The default grace period: how long a process may take to end before it is killed."""

DEFAULT_GRACE = 10.0
"""Seconds between TERM and KILL."""
