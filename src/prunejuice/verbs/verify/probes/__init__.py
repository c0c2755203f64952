"""Programs that a project's own Python runs; each stands alone and imports nothing of this package."""
