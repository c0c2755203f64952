"""Analyse source code: definitions, imports, terms, tokens, files to exclude, secrets to mask.

The package performs no I/O.

Start with `outline.outline`, `chunk.Chunk`, `terms.terms`, `exclude.exclusion_reason`.
"""
