"""Where changes are handed in for others to look at: forges. One file each."""
