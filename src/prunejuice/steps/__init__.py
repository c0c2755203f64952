"""Step implementations: built-in steps, scripts, agent steps, and the runner that selects between them.

Start with `runner.StepRunner`, `builtin.BUILTIN_STEPS`.
"""
