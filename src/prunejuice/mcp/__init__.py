"""The MCP server: commands, runs and contexts for other agents."""
