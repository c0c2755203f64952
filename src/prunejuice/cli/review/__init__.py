"""Review changes hunk by hunk, by a person in a terminal or by decisions in JSON."""
