"""Where the history is kept: one file per kind of store, one contract for all."""
