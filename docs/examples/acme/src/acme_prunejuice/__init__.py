"""An example of every extension that prunejuice can be given."""
