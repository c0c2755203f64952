"""Verbs: tasks for an agent, and the loops that ask until the answer passes every check.

`ask` asks once, `repair` asks until a check passes, `verify` holds the checks, `summarize` describes code.
"""
