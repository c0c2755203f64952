"""Agents: what answers a task. One file each, one contract for all."""
