"""The front door for agents of others: commands, runs and contexts by the Model Context Protocol."""
