"""Combinations of arguments, for several runs of one command."""

from collections.abc import Mapping, Sequence
from itertools import product

from prunejuice.errors import UsageError
from prunejuice.text import safe_line
from prunejuice.workflow.command import Argument, Command, convert_value

MAX_RUNS = 1000


def argument_combinations(
    command: Command, values: Mapping[str, str], matrix: Sequence[str] = (), times: int = 1
) -> list[dict[str, str]]:
    """Return the arguments of every run: all combinations of `values` and `matrix`, each `times` times.

    An item of `matrix` has the form `name=a,b`. A value with commas, such as `issue=1,2,3`, also stands for
    several values if it is not valid as a whole, but each part is.

    Raises:
        UsageError: a name is repeated, a value is empty, or there are more than `MAX_RUNS` combinations.
    """
    types = {argument.name: argument for argument in command.arguments}
    axes = {name: _split_values(value, types.get(name)) for name, value in values.items()}
    for word in matrix:
        name, _, choices = word.partition("=")
        if name in values or not name or not all(choices.split(",")):
            raise UsageError(
                f"invalid --matrix {safe_line(word, 60)!r}",
                "use NAME=A,B with a name that is not also given as an argument",
            )
        axes[name] = list(dict.fromkeys([*axes.get(name, []), *choices.split(",")]))
    # Count before building: a few long lists have a huge product.
    count = times
    for axis in axes.values():
        count *= len(axis)
    if count > MAX_RUNS:
        raise UsageError(f"the arguments result in {count} runs", f"start at most {MAX_RUNS} runs at once")
    combinations = [dict(zip(axes, choice, strict=True)) for choice in product(*axes.values())]
    return [dict(combination) for combination in combinations for _ in range(times)]


def _split_values(value: str, argument: Argument | None) -> list[str]:
    parts = value.split(",")
    if argument is None or len(parts) < 2 or _is_valid_value(value, argument):
        return [value]
    return list(dict.fromkeys(parts)) if all(_is_valid_value(part, argument) for part in parts) else [value]


def _is_valid_value(text: str, argument: Argument) -> bool:
    try:
        convert_value(text, argument.type)
    except ValueError:
        return False
    return True
