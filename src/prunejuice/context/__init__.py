"""Select the code that is relevant to a task: index it, rank it and pack it into a token budget.

Start with `engine.Engine.gather`, `request.ContextRequest` and `bundle.Bundle`.
"""
