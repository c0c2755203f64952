"""Parse the answer of a model into edits, and find the one place in a file where each edit applies.

The package performs no I/O.

Start with `formats.read`, `matchers.place`, `proposal.apply_edits`, `diff.FileDiff`.
"""
