"""Modules that interpreters of a project load; each stands alone and imports nothing of this package."""
