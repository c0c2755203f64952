"""The front doors: commands people type, and everything that is shown to them."""
