"""The command-line interface: the commands, and everything they print."""
