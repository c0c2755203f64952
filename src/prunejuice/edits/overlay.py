"""An in-memory view of files with pending changes; the files on disk stay untouched."""

from collections.abc import Callable, Sequence

from prunejuice.edits import path_rules
from prunejuice.edits.diff import FileDiff, Version
from prunejuice.errors import ConflictError
from prunejuice.text import safe_line

MISSING = Version(None)


class Overlay:
    """A tree with pending changes; `read_version` reads the original of a path, once for each path.

    `find_namesakes` returns the paths of files in other folders that have a name.
    """

    def __init__(
        self,
        read_version: Callable[[str], Version],
        find_namesakes: Callable[[str], Sequence[str]] = lambda _name: (),
    ) -> None:
        self._read_version = read_version
        self.find_namesakes = find_namesakes
        self._before: dict[str, Version] = {}
        self._now: dict[str, Version] = {}
        self._origin: dict[str, str] = {}

    def get(self, path: str) -> Version:
        """Return the current version of a path.

        Raises:
            DeniedError: A change may not name the path.
        """
        if path not in self._now:
            self._before[path] = self._now[path] = self._read_version(path_rules.require_valid_path(path))
        return self._now[path]

    def original(self, path: str) -> Version:
        """Return the original version of a path."""
        self.get(path)
        return self._before[path]

    def put(self, path: str, version: Version) -> None:
        """Set the version of a path; a version without data deletes the file."""
        self.get(path)
        self._now[path] = version
        if version.data is None:
            self._origin.pop(path, None)

    def rename(self, path: str, to: str) -> None:
        """Rename a file.

        Raises:
            ConflictError: The file does not exist, or the new path does.
        """
        version = self.get(path)
        if version.data is None:
            message = f"no such file: {safe_line(path, 120)}"
            raise ConflictError(message, "nothing was changed", (path,))
        if self.get(to).data is not None and to != path:
            message = f"file already exists: {safe_line(to, 120)}"
            raise ConflictError(message, "nothing was changed", (to,))
        origin = self._origin.pop(path, path)
        self._now[path] = MISSING
        self._now[to] = version
        if to != origin:
            self._origin[to] = origin

    def diffs(self) -> list[FileDiff]:
        """Return the diff of every changed file; a renamed file is listed once, with both paths."""
        moved = {origin: to for to, origin in self._origin.items() if self._has_moved(origin, to)}
        diffs = []
        for path, old in self._before.items():
            if path in moved:
                diffs.append(FileDiff(path, old, self._now[moved[path]], moved[path]))
            elif path not in moved.values() and self._now[path] != old:
                diffs.append(FileDiff(path, old, self._now[path]))
        return diffs

    def _has_moved(self, origin: str, to: str) -> bool:
        old, target = self._before[origin], self._before[to]
        return old.data is not None and target.data is None and self._now[origin].data is None
