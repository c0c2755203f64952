"""Contexts: which code a model is shown, found by an index of the repository."""
