"""Options and results of applying changes."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from prunejuice.changes.change_set_store import ChangeSetRecord
from prunejuice.changes.review import Review


class ApplyOptions(NamedTuple):
    """How changes are reviewed and applied; `is_silent` reports nothing of what was applied."""

    grain: str
    decisions: str
    yes: bool
    grant: tuple[str, ...]
    again: str | Callable[[Sequence[Any]], str]
    as_json: bool
    is_silent: bool = False


class ReviewOutcome(NamedTuple):
    """The result of a review: the record left pending, and what came of requesting a revision."""

    review: Review | None = None
    left_open: ChangeSetRecord | None = None
    extra: Mapping[str, Any] = MappingProxyType({})


NO_REVIEW = ReviewOutcome()
