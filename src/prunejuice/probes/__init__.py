"""Programs that a project's own Python runs for us: each stands alone, and imports nothing of ours."""
