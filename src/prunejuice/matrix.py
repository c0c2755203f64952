"""Many runs of one command: which combinations of arguments there are."""

from collections.abc import Mapping, Sequence
from itertools import product

from prunejuice.command import Argument, Command, converted
from prunejuice.errors import UsageError
from prunejuice.text import safe_line

MOST = 1000


def combinations(
    command: Command, given: Mapping[str, str], matrix: Sequence[str] = (), times: int = 1
) -> list[dict[str, str]]:
    """The arguments of every run: each value of `matrix` (`name=a,b`) with each other, `times` over.

    A given value with commas in it stands for several when it is no value itself but each part is one, as
    in `issue=1,2,3`.

    Raises:
        UsageError: a name comes twice, a value is empty, or there are more than a thousand.
    """
    types = {argument.name: argument for argument in command.arguments}
    axes = {name: _parts(value, types.get(name)) for name, value in given.items()}
    for word in matrix:
        name, _, values = word.partition("=")
        if name in given or not name or not all(values.split(",")):
            raise UsageError(
                f"--matrix {safe_line(word, 60)!r}: a name that is not given already, and values: k=a,b"
            )
        axes[name] = list(dict.fromkeys([*axes.get(name, []), *values.split(",")]))
    count = times
    for values_of in axes.values():
        count *= len(values_of)
    if count > MOST:
        raise UsageError(f"these are {count} runs", f"at most {MOST} can be started at once")
    found = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    return [dict(each) for each in found for _ in range(times)]


def _parts(value: str, argument: Argument | None) -> list[str]:
    parts = value.split(",")
    if argument is None or len(parts) < 2 or _fits(value, argument):
        return [value]
    return list(dict.fromkeys(parts)) if all(_fits(part, argument) for part in parts) else [value]


def _fits(text: str, argument: Argument) -> bool:
    try:
        converted(text, argument.type)
    except ValueError:
        return False
    return True
