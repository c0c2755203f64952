"""Stores of the run history: one module for each.

Start with `registry.open_store`; the protocol is `engine.ports.Store`.
"""
