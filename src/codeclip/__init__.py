"""codeclip for programs: the code that a task is about, within a budget of tokens.

from codeclip import get_context

content, token_info = get_context(paths=["src/"], query="fix the login")
"""

from typing import TYPE_CHECKING

from prunejuice.system.public_names import lazy_names

if TYPE_CHECKING:
    from prunejuice.app.codeclip import gather, get_context
    from prunejuice.context.bundle import Bundle, Item
else:  # a type checker that saw __getattr__ would accept every name
    __getattr__ = lazy_names(
        __name__,
        {
            "prunejuice.app.codeclip": "gather get_context",
            "prunejuice.context.bundle": "Bundle Item",
        },
    )

__all__ = ["Bundle", "Item", "gather", "get_context"]
