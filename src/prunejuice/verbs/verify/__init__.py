"""Checks of answers: weakened tests, hard-coded results, generated tests, changed behaviour.

Start with `tamper.find_weakened_checks`, `generated_tests.TestGates`, `equivalence`.
"""
