"""Agents that answer tasks: one module per agent, all with the interface of `protocol.Agent`."""
