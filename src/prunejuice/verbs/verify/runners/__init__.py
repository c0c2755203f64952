"""Runners of generated tests, one for each language: they write, run and measure a file of tests.

Start with `registry.find_runner`; `protocol.TestRunner` says what a runner does.
"""
