"""Kotlin. Without a grammar package its imports are known, and its files are cut by lines."""

from prunejuice.code.languages import Language

KOTLIN = Language("tree_sitter_kotlin", imports=r"^import[ \t]+([\w.]+)")
