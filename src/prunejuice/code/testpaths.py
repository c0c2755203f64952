"""The one rule for test paths: protected, reviewed with care, or surveyed."""

import re

_TEST = re.compile(
    r"(?:^|/)(?:tests?|__tests__|specs?)/|(?:^|/)test_[^/]+(?:$|/)|(?:^|/)tests?\.(?:py|[cm]?[jt]sx?|rb|pl|php|sh|go)$|(?:_test|[._]spec|\.test)\.\w+$",
    re.IGNORECASE,
)
_SUPPORT = re.compile(
    r"(?:^|/)(?:testing|e2e|fixtures|playground|benchmarks?|examples?)/|(?:^|/)conftest\.py$", re.IGNORECASE
)


def is_test_path(path: str) -> bool:
    """Return whether a path belongs to tests."""
    return bool(_TEST.search(path))


def is_test_or_support_path(path: str) -> bool:
    """Return whether a path belongs to tests, or to fixtures, benchmarks and examples."""
    return is_test_path(path) or bool(_SUPPORT.search(path))
