"""A forge on the loopback interface that accepts merge requests and has issues, like GitLab's API."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from prunejuice.testing.forge import ForgeRequest, ForgeServer, split_draft

_DRAFT = "Draft: "
_PROJECT = "shop/cart"
_PROJECT_ID = 7


class GitLabServer(ForgeServer):
    """A GitLab with the project `shop/cart`; a remote below its `url` names it."""

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that direct clients to this forge."""
        return {"GITLAB_HOST": self.url, "GITLAB_TOKEN": self.token}

    def answer_allowed(self, request: ForgeRequest) -> tuple[int, Any]:
        """Return the status and body of the answer to a request with the right token."""
        path = request.path.partition("?")[0]
        parts = path.removeprefix("/api/v4/projects/").split("/")
        project, inner = unquote(parts[0]), "/".join(parts[1:])
        if not inner and project == _PROJECT:
            return 200, {"id": _PROJECT_ID}
        if inner == "merge_requests" and request.method == "POST":
            return self._open_merge_request(project, request.body)
        existing = inner.removeprefix("merge_requests/")
        if existing.isdigit() and int(existing) <= len(self._open):
            return 200, {"web_url": self._open[int(existing) - 1]["html_url"]}
        if project == _PROJECT and (issue := self.find_issue(inner)):
            number, title, text = issue
            return 200, {"title": title, "description": text, "web_url": f"{self.url}/issues/{number}"}
        return 404, {"message": "404 Not found"}

    def _open_merge_request(self, project: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        if project != _PROJECT and body.get("target_project_id") != _PROJECT_ID:
            return 404, {"message": "404 Project Not Found"}
        branch = str(body.get("source_branch"))
        head = branch if project == _PROJECT else f"{project}:{branch}"
        if self.branches is not None and f"{project.partition('/')[0]}:{branch}" not in self.branches:
            return 400, {"message": {"source_branch": ["does not exist"]}}
        heads = [pull["head"] for pull in self._open]
        if head in heads:
            said = "Another open merge request already exists for this source branch"
            return 409, {"message": [f"{said}: !{heads.index(head) + 1}"]}
        draft = split_draft(str(body.get("title")), _DRAFT)
        url = self.add_request(
            **draft, body=body.get("description"), head=head, base=body.get("target_branch")
        )
        return 201, {"web_url": url}
