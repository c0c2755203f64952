"""Git worktrees, snapshots, merges and tmux sessions.

Start with `git.Git`, `worktree.create`, `snapshot.save_snapshot`, `merge.advance_branch`.
"""
