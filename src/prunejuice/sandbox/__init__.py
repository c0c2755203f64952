"""Sandboxes: processes that change a tree and nothing else, and reach only the hosts that a person named.

Start with `sandbox.Sandbox`, `policy.Policy`, `permissions.Containment` and `programs.protocol`.
"""
