"""Requests to the API of a forge, and the errors of its refusals."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from prunejuice.errors import PublishError, UsageError
from prunejuice.text import safe_line

_TIMEOUT = 30.0


class RestApi(NamedTuple):
    """The API at a base URL; `headers` have the login. `title` names the repository in messages."""

    url: str
    title: str
    headers: Mapping[str, str] = {}
    login_fix: str = ""

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return the status and the answer of a request, as plain data.

        Raises:
            PublishError: the forge is unreachable.
        """
        import httpx2  # noqa: PLC0415 - slow to import

        headers = {"User-Agent": "prunejuice", "Accept": "application/json", **self.headers}
        try:
            url = f"{self.url}/{path}"
            response = httpx2.request(method, url, json=body, headers=headers, timeout=_TIMEOUT)
            return response.status_code, response.json() if response.content else {}
        except (httpx2.HTTPError, ValueError, httpx2.InvalidURL) as error:
            fix = "check the network connection and try again; nothing was lost"
            problem = f"could not reach {self.url}: {safe_line(str(error), 200)}"
            raise PublishError(problem, fix) from error

    def refusal_error(self, status: int, message: str) -> Exception:
        """Return the error for a refused request."""
        if status in {401, 403}:
            problem = f"{self.url} rejected the token for {self.title}: {message}"
            return UsageError(problem, self.login_fix)
        if status == 404:
            problem = f"{self.url} did not find {self.title}, or the token has no access to it"
            return UsageError(problem, self.login_fix)
        problem = f"{self.url} refused the request ({status}): {message}"
        return PublishError(problem, "fix the problem and try again")

    def missing_issue_error(self, number: int) -> UsageError:
        """Return the error for an issue that is not there."""
        problem = f"issue {number} not found in {self.title}, or the token has no access to it"
        return UsageError(problem, "check the number of the issue")
