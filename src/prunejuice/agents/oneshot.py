"""The agent `oneshot`: one question to a model, by PydanticAI; any provider that it knows."""

import asyncio
import re
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import AsyncExitStack, suppress
from typing import Any

from prunejuice.agent import AgentEvent, Can, Ended, Spent, Started, Status, Task
from prunejuice.protocols import Stop

SECONDS = 600.0
"""The longest that one task may take when nothing else is said."""
_ATTEMPTS = 4
"""How often a request is sent again after a passing fault: too many requests, overloaded, cut off."""
_CORRECTIONS = 2
"""How often a model is told what is wrong with its answer."""
_LOCAL = ("ollama", "vllm", "litellm", "openai-compatible")
"""Providers of models that may be too small for tools: the answer is held to the schema itself."""


class Oneshot:
    """PydanticAI on an event loop of its own: threads ask at once over one set of connections."""

    name = "oneshot"
    can = Can(keeps=("cost", "tokens", "seconds"), priced=True)

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="oneshot", daemon=True)
        self._thread.start()
        self._models: dict[str, Any] = {}
        self._open = AsyncExitStack()

    def run(self, task: Task, stop: Stop) -> Iterator[AgentEvent]:
        """Ask the model that the task names; several, with commas between them, are tried in turn."""
        yield Started(self.name, task.model)
        asked = asyncio.run_coroutine_threadsafe(self._asked(task), self._loop)
        while True:
            try:
                spent, ended = asked.result(timeout=0.2)
            except TimeoutError:
                if asked.done():  # the answer itself ran out of time
                    spent, ended = None, _failed(asked.exception() or TimeoutError(), task)
                elif stop.requested():
                    asked.cancel()
                    continue
                else:
                    continue
            except CancelledError:
                spent, ended = None, Ended("cancelled", error="stopped")
            break
        if spent is not None:
            yield spent
        yield ended

    def close(self) -> None:
        """Close the connections, and end the event loop."""
        asyncio.run_coroutine_threadsafe(self._open.aclose(), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    async def _asked(self, task: Task) -> tuple[Spent | None, Ended]:
        from pydantic_ai import Agent, RunUsage, UsageLimits  # noqa: PLC0415 - slow
        from pydantic_ai import exceptions as kinds  # noqa: PLC0415

        usage = RunUsage()
        seconds = task.limits.seconds or SECONDS
        try:
            agent = Agent(
                await self._model(task.model),
                output_type=_result(task),
                instructions=task.instructions or None,
                retries={"output": _CORRECTIONS},
            )
            if task.schema is not None:
                agent.output_validator(_checking(task))
            answer = await agent.run(
                task.prompt,
                usage=usage,
                usage_limits=UsageLimits(request_limit=task.limits.rounds or _CORRECTIONS + 1),
                model_settings={"max_retries": _ATTEMPTS, "timeout": seconds},
                timeout=seconds,
            )
        except (kinds.AgentRunError, kinds.UserError, ExceptionGroup, *_OTHERS) as error:
            return _spent(usage), _failed(error, task)
        return _spent(usage, _who(task.model, answer.response.model_name)), Ended(
            "ok", output=answer.output
        )

    async def _model(self, names: str) -> Any:
        """A model by its name, its connections open; the same one for every task."""
        if names not in self._models:
            model = self._models[names] = _model(names)
            await self._open.enter_async_context(model)
        return self._models[names]


_OTHERS = (OSError, ValueError, TypeError, LookupError, ImportError, RuntimeError)
"""What the libraries of providers raise besides: a package is missing, an answer makes no sense."""


def built(model: str, instructions: str, result: Any) -> Any:
    """An agent of PydanticAI's for one kind of result; without a model, it is named when it runs."""
    from pydantic_ai import Agent  # noqa: PLC0415 - slow

    kind = result if hasattr(result, "model_json_schema") else str
    return Agent(_model(model) if model else None, output_type=kind, instructions=instructions or None)


def _model(names: str) -> Any:
    """A model by its name, or several of which the next is asked when one fails."""
    from pydantic_ai.models import infer_model  # noqa: PLC0415
    from pydantic_ai.models.fallback import FallbackModel  # noqa: PLC0415

    models = [infer_model(name.strip()) for name in names.split(",") if name.strip()]
    if not models:
        raise ValueError("no model is named")
    return models[0] if len(models) == 1 else FallbackModel(*models)


def _result(task: Task) -> Any:
    from pydantic_ai import NativeOutput, StructuredDict  # noqa: PLC0415

    if task.schema is None:
        return str
    kind = StructuredDict(dict(task.schema), name=str(task.schema.get("title", "result")))
    local = task.model.partition(":")[0] in _LOCAL
    return NativeOutput(kind) if local else kind


def _checking(task: Task) -> Any:
    from pydantic_ai import ModelRetry, RunContext, UsageLimitExceeded  # noqa: PLC0415

    def checked(run: RunContext[Any], output: Any) -> Any:
        try:
            return task.check(output) if task.check else output
        except ValueError as error:
            if _is_over(run.usage, task):
                raise UsageLimitExceeded(f"its answer does not fit: {error}") from error
            raise ModelRetry(str(error)) from error

    return checked


def _is_over(usage: Any, task: Task) -> bool:
    """Whether nothing more may be asked; an answer that is there is taken all the same."""
    tokens, cost = task.limits.tokens, task.limits.cost
    over = tokens is not None and usage.input_tokens + usage.output_tokens >= tokens
    return over or (cost is not None and float(usage.cost or 0) >= cost)


def _who(names: str, answered: str | None) -> str:
    """The one of several models that answered; nothing when one was named."""
    known = {name.strip().partition(":")[2] or name.strip(): name.strip() for name in names.split(",")}
    fitting = [name for name in known if answered and answered.startswith(name)]
    return known[max(fitting, key=len)] if fitting and len(known) > 1 else ""


def _spent(usage: Any, model: str = "") -> Spent | None:
    if not usage.requests and not usage.input_tokens:
        return None
    cost = None if usage.cost is None else float(usage.cost)
    return Spent(
        usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.requests, cost, model
    )


def _failed(error: BaseException, task: Task) -> Ended:
    """What went wrong, in words that say what to do."""
    from pydantic_ai import exceptions as kinds  # noqa: PLC0415

    is_quota = isinstance(error, kinds.ModelRateLimitError) and _QUOTA.search(_said(error))
    found = kinds.ModelQuotaExceededError if is_quota else type(error)
    for kind, what, fix in _faults(kinds):
        if issubclass(found, kind):
            status: Status = "limit" if kind in {kinds.UsageLimitExceeded, TimeoutError} else "failed"
            return Ended(status, error=f"{task.model or 'the model'}: {what}{_said(error)}", fix=fix)
    if isinstance(error, ExceptionGroup):
        last = error.exceptions[-1]
        return _failed(last, task)
    return Ended("failed", error=f"{task.model or 'the model'}: {error}"[:2000], fix=_NAME_IT)


_QUOTA = re.compile(r"\bquota\b|\bbilling\b|\bcredits?\b", re.IGNORECASE)
"""What providers say who refuse for want of money, by the same number as for want of time."""
_NAME_IT = "name it as provider:model, and set the provider's key in the environment"


def _faults(kinds: Any) -> tuple[tuple[type[BaseException], str, str], ...]:
    return (
        (TimeoutError, "no answer in time", "ask again, or ask a faster model"),
        (kinds.ModelAuthenticationError, "the key was refused", "set the provider's key anew"),
        (kinds.ModelQuotaExceededError, "the quota is used up", "see to billing, or take another model"),
        (kinds.ModelRateLimitError, "too many requests", "wait, or ask fewer at once"),
        (kinds.ModelOverloadedError, "overloaded", "wait, or name a second model: --model A,B"),
        (kinds.ModelUnavailableError, "not available now", "wait, or name a second model: --model A,B"),
        (kinds.ModelServerError, "the provider failed", "wait, or name a second model: --model A,B"),
        (kinds.ModelNotFoundError, "there is no such model", "see the provider's list of models"),
        (kinds.ModelContextWindowExceededError, "the question is too long for it", "name fewer PATHS"),
        (kinds.ModelConnectionError, "cannot be reached", "see to the network and the base URL"),
        (kinds.UsageLimitExceeded, "a limit was reached", "raise --max-tokens or --max-cost"),
        (kinds.ModelAPIError, "the request was refused", ""),
        (kinds.UnexpectedModelBehavior, "its answer does not fit", "ask again, or take a stronger model"),
        (kinds.UserError, "cannot be used", _NAME_IT),
    )  # fmt: skip


def _said(error: BaseException) -> str:
    """What the provider said itself, without the body of the request."""
    body = getattr(error, "body", None)
    if isinstance(body, Mapping):
        inner = body.get("error", body)
        body = inner.get("message", "") if isinstance(inner, Mapping) else inner
    text = str(body or "") or str(error)
    with suppress(AttributeError):
        if cause := error.__cause__:
            text = text if body or isinstance(error, TimeoutError) else f"{text} ({cause})"
    told = re.split(r"\s*To try Pydantic AI", text)[0]  # without a key: no advice for a user of ours
    first = " ".join(" ".join(told.strip().splitlines()[:4]).split())[:400]
    return f": {first}" if first else ""
