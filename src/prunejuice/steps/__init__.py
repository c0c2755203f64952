"""The steps there are: built-in ones, scripts, and what chooses between them."""
