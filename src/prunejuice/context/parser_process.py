"""Parse the contents of many files in several processes, one for each core."""

import gc
import os
import sys
from collections.abc import Iterator
from math import ceil

import msgspec

from prunejuice.context.contents import ContentRequest, parse_contents
from prunejuice.context.segment import PackedSegment, Segment
from prunejuice.errors import MissingToolError
from prunejuice.system import process, settings
from prunejuice.system.stop_request import KILL, Stop
from prunejuice.version import __version__

_FEWEST = 1_000
"""Files below which starting processes takes longer than it saves."""
_BATCH = 4_000
"""The most files that one process parses, to bound its memory."""
_MAX_PROCESSES = 8
_MAX_ANSWER = 1 << 30
_TIMEOUT = 3_600


class _Batch(msgspec.Struct, frozen=True):
    """A request for a process; paths are bytes, because they may not be UTF-8."""

    root: bytes
    example_id: str
    largest: list[tuple[bytes, int]]
    known: list[str]


class ParsedBatch(msgspec.Struct, frozen=True):
    """What a process parsed: a segment, the keys of files and the reasons of unread files."""

    version: str
    segment: PackedSegment
    keys: list[tuple[bytes, str]]
    excluded: list[tuple[bytes, str]]

    def keys_by_path(self) -> dict[str, str]:
        """Return the keys of files."""
        return {os.fsdecode(path): key for path, key in self.keys}

    def reasons_by_path(self) -> dict[str, str]:
        """Return the reasons why files were not read."""
        return {os.fsdecode(path): reason for path, reason in self.excluded}


def is_worth_processes(request: ContentRequest) -> bool:
    """Return whether several processes parse the files sooner than this one."""
    return len(request.largest) >= _FEWEST and _core_count() > 1


def parse_in_processes(request: ContentRequest) -> Iterator[ParsedBatch]:
    """Yield the parsed contents of a request, a batch at a time; one that fails is parsed here."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - slow

    paths = [(os.fsencode(path), largest) for path, largest in request.largest.items()]
    root, known = os.fsencode(request.root), list(request.known)
    workers = min(_core_count(), _MAX_PROCESSES)
    count = max(workers, ceil(len(paths) / _BATCH))
    batches = [_Batch(root, request.example_id, paths[start::count], known) for start in range(count)]
    stop = Stop()
    with ThreadPoolExecutor(workers) as pool:
        try:
            answers = pool.map(lambda batch: _run_process(batch, stop), batches)
            for batch, answer in zip(batches, answers, strict=True):
                yield answer or _parse_batch(batch)
        finally:
            stop.request(KILL)  # an interrupted request must not wait for its processes
            pool.shutdown()
            stop.close()


def _core_count() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _run_process(batch: _Batch, stop: Stop) -> ParsedBatch | None:
    """Return what a process parsed; None if it failed."""
    argv = (process.python_executable(), "-P", "-m", "prunejuice.context.parser_process")
    call = process.ProcessSpec(
        argv, "/", settings.environment(), timeout=_TIMEOUT, stdin=msgspec.msgpack.encode(batch)
    )
    try:
        output = process.capture_output(call, _MAX_ANSWER, stop)
        answer = msgspec.msgpack.decode(output.stdout, type=ParsedBatch)
    except (OSError, ValueError, MissingToolError):  # a damaged answer is a ValueError
        return None
    return answer if answer.version == __version__ else None


def _parse_batch(batch: _Batch, parent: int = 0) -> ParsedBatch:
    """Return the parsed contents of a batch; end the process when its `parent` (0: any) is gone."""
    keys: dict[str, str] = {}
    excluded: dict[str, str] = {}
    largest = {os.fsdecode(path): size for path, size in batch.largest}
    request = ContentRequest(os.fsdecode(batch.root), batch.example_id, largest, frozenset(batch.known))
    segment = Segment()
    for file in parse_contents(request, keys, excluded):
        if parent and os.getppid() != parent:
            sys.exit("the process that asked is gone")
        segment.add(file)
    packed_keys = [(os.fsencode(path), key) for path, key in keys.items()]
    reasons = [(os.fsencode(path), reason) for path, reason in excluded.items()]
    return ParsedBatch(__version__, segment.pack(), packed_keys, reasons)


def main() -> None:
    """Parse the batch on stdin and write the answer to stdout."""
    gc.set_threshold(200_000, 20, 20)  # parsed contents are free of cycles
    parent = os.getppid()
    batch = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=_Batch)
    sys.stdout.buffer.write(msgspec.msgpack.encode(_parse_batch(batch, parent)))


if __name__ == "__main__":
    main()
