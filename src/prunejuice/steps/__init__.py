"""Step implementations: built-in steps, scripts, agent steps, and the runner that selects between them.

Start with `runner.Runner`, `builtin.BUILTIN_STEPS`.
"""
