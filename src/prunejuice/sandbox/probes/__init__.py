"""Programs that run inside a sandbox. They import nothing of prunejuice."""
