"""Commands on the work of runs: show it, review it, undo it, compare it and merge it."""
