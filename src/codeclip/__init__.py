"""codeclip for programs: the code that a task is about, within a budget of tokens.

from codeclip import get_context

content, token_info = get_context(paths=["src/"], query="fix the login")
"""

from prunejuice.app.codeclip import gather, get_context
from prunejuice.context.bundle import Bundle, Item

__all__ = ["Bundle", "Item", "gather", "get_context"]
