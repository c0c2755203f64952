"""The default budgets of a context, in tokens."""

DEFAULT_BUDGET = 32_000
TOOL_BUDGET = 16_000
"""The default of the MCP tool: a client refuses or cuts the answer of a tool above about 25,000 tokens."""
