"""Runs repeatable AI-coding workflows, each in its own worktree, and keeps their history."""

__version__ = "0.5.0"
