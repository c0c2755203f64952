"""codeclip for programs: the code that a task is about, within a budget of tokens.

from codeclip import get_context

content, token_info = get_context(paths=["src/"], query="fix the login")
"""

from prunejuice.context import Bundle, Item
from prunejuice.contexts.clip import gather, get_context

__all__ = ["Bundle", "Item", "gather", "get_context"]
