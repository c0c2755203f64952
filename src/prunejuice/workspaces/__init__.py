"""Where a run works: git worktrees and tmux sessions."""
