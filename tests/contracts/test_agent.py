"""The contract of agents, and the specifics of each, against a local model server."""

import json
import threading

import pytest
import yaml

from prunejuice.agents import prices, scripted
from prunejuice.agents.metering import Ledger, LedgerEntry, MeteredAgent
from prunejuice.agents.model_environment import prepare_model_environment
from prunejuice.agents.oneshot import OneshotAgent
from prunejuice.agents.protocol import (
    AgentEnded,
    AgentStarted,
    Limits,
    Task,
    Usage,
    collect_result,
    total_usage,
)
from prunejuice.agents.recording import RecordingAgent, ReplayAgent, task_digest
from prunejuice.agents.registry import AnswerSource, UsageLabel, open_agent
from prunejuice.errors import UsageError
from prunejuice.system.settings import Settings
from prunejuice.system.stop_request import STOP
from prunejuice.testing import ModelServer, Reply

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "title": "Number"}
MODELS = {
    "chat": "openai-chat:gpt-5.6-luna",
    "responses": "openai:gpt-6-luna",
    "messages": "anthropic:claude-haiku-4-5",
    "ollama": "ollama:qwen3",
}
KINDS = [*MODELS, "scripted", "replay"]


def even(output):
    if output["n"] % 2:
        raise ValueError(f"{output['n']} is odd")
    return output


@pytest.fixture
def ask(tmp_path, monkeypatch, stop):
    """Ask an agent of a kind that is going to say some replies; what happened, and the model's server."""

    def asked(kind, replies, task):
        left = list(replies)
        with ModelServer(lambda _: left.pop(0) if len(left) > 1 else left[0]) as server:
            for name, value in server.environment.items():
                monkeypatch.setenv(name, value)
            task = task._replace(model=MODELS.get(kind, MODELS["chat"]))
            if kind == "scripted":
                rows = [
                    {"output": r.output, "text": r.text} if r.status == 200 else {"error": r.text}
                    for r in replies
                ]
                agent = scripted.ScriptedAgent([scripted.ScriptedAnswer(**row) for row in rows])
            elif kind == "replay":
                path = tmp_path / "recording"
                first = RecordingAgent(OneshotAgent(), path)
                list(first.run(task, stop))
                first.close()
                agent = ReplayAgent(path)
            else:
                agent = OneshotAgent()
            try:
                return list(agent.run(task, stop)), server
            finally:
                agent.close()

    return asked


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_by_its_schema(ask, kind):
    events, server = ask(kind, [Reply(output={"n": 2})], Task("how many?", "count", SCHEMA))
    assert isinstance(events[0], AgentStarted)
    assert events[-1] == AgentEnded("ok", output={"n": 2})
    if kind in MODELS:
        assert "how many?" in server.asked[0].prompt
        assert "count" in server.asked[0].instructions


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_that_does_not_pass_is_asked_for_again(ask, kind):
    events, server = ask(
        kind, [Reply(output={"n": 1}), Reply(output={"n": 4})], Task("?", "", SCHEMA, even)
    )
    assert events[-1] == AgentEnded("ok", output={"n": 4})
    if kind in MODELS:
        assert any("1 is odd" in json.dumps(asked.body) for asked in server.asked)


@pytest.mark.parametrize("kind", KINDS)
def test_text_when_no_schema_is_given(ask, kind):
    events, _ = ask(kind, [Reply(text="plain words")], Task("say"))
    assert events[-1] == AgentEnded("ok", output="plain words")


@pytest.mark.parametrize("kind", MODELS)
def test_an_answer_that_never_fits_is_a_failure(ask, kind):
    events, server = ask(kind, [Reply(output={"n": 1})], Task("?", "", SCHEMA, even))
    assert events[-1].status == "failed"
    assert "the answer is not valid" in events[-1].error
    assert len(server.asked) == 3


@pytest.mark.parametrize("kind", ["chat", "messages"])
@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "the key was refused"),
        (404, "no such model"),
        (400, "the request was refused"),
    ],
)
def test_a_refusal_has_a_name_and_is_not_repeated(ask, kind, status, said):
    events, server = ask(kind, [Reply("the reason", status=status)], Task("?"))
    assert events[-1].status == "failed"
    assert said in events[-1].error
    assert "the reason" in events[-1].error
    assert MODELS[kind] in events[-1].error
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [429, 500, 503, 529])
def test_temporary_server_error_is_retried(ask, status):
    soon = {"retry-after-ms": "1"}
    replies = [
        Reply("busy", status=status, headers=soon),
        Reply("busy", status=status, headers=soon),
        Reply("done"),
    ]
    events, server = ask("chat", replies, Task("?"))
    assert events[-1] == AgentEnded("ok", output="done")
    assert len(server.asked) == 3


def test_a_fault_that_stays_has_a_name(ask):
    events, server = ask("chat", [Reply("busy", status=429, headers={"retry-after-ms": "1"})], Task("?"))
    assert "too many requests" in events[-1].error
    assert len(server.asked) == 5


def test_exhausted_quota_is_reported_with_a_billing_hint(ask):
    said = "You exceeded your current quota, please check your plan and billing details."
    events, _ = ask("chat", [Reply(said, status=429, headers={"retry-after-ms": "1"})], Task("?"))
    assert "the quota is exceeded: You exceeded your current quota" in events[-1].error
    assert "billing" in events[-1].fix


def test_a_server_that_loads_its_model_is_waited_for(ask):
    loading = Reply("Loading model", status=503, headers={"retry-after-ms": "1"})
    events, server = ask("ollama", [*[loading] * 6, Reply("done")], Task("?"))
    assert events[-1] == AgentEnded("ok", output="done")
    assert len(server.asked) == 7


def test_a_server_that_is_busy_is_not_waited_for(ask):
    events, server = ask("ollama", [Reply("busy", status=503, headers={"retry-after-ms": "1"})], Task("?"))
    assert "not available now: busy" in events[-1].error
    assert len(server.asked) == 5


NEARLY_RIGHT = {
    "null counts": {"usage": {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None}},
    "float counts": {"usage": {"prompt_tokens": 5.0, "completion_tokens": "7", "total_tokens": 12}},
    "missing counts": {"usage": {"prompt_tokens": 5}},
    "integer id": {"id": 7},
}


@pytest.mark.parametrize("difference", NEARLY_RIGHT.values(), ids=NEARLY_RIGHT)
def test_an_answer_that_is_nearly_in_the_format_is_read(ask, difference):
    message = {"role": "assistant", "content": "done"}
    body = {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
    }
    events, _ = ask("ollama", [Reply(body={**body, **difference})], Task("?"))
    assert events[-1] == AgentEnded("ok", output="done")
    [usage] = [event for event in events if isinstance(event, Usage)]
    assert usage.input > 0
    assert usage.output > 0, "unknown is not zero"


@pytest.mark.parametrize("charset", ["", "; charset=iso-8859-1", "; charset=nonsense"])
def test_an_answer_in_another_charset_is_read(ask, charset):
    headers = {"content-type": f"application/json{charset}"}
    reply = Reply("Gr\u00fc\u00dfe", headers=headers, charset="latin-1")
    events, _ = ask("ollama", [reply], Task("?"))
    assert events[-1] == AgentEnded("ok", output="Gr\u00fc\u00dfe")


def test_another_model_answers_when_the_first_fails(ask, stop, monkeypatch):
    with ModelServer(lambda a: Reply("no", status=401) if a.model == "one" else Reply("two")) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        agent = OneshotAgent()
        events = list(agent.run(Task("?", model="openai-chat:one, openai-chat:two"), stop))
        agent.close()
    assert events[-1] == AgentEnded("ok", output="two")
    assert [event.model for event in events if isinstance(event, Usage)] == ["openai-chat:two"]
    assert [asked.model for asked in server.asked] == ["one", "two"]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("openai-chat:gpt-6-luna", "OPENAI_API_KEY"),
        ("nobody:x", "Unknown model"),
        ("x", "Unknown model"),
        ("", "no model"),
    ],
)
def test_a_model_that_cannot_be_asked(stop, monkeypatch, model, said):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    agent = OneshotAgent()
    [_, ended] = agent.run(Task("?", model=model), stop)
    agent.close()
    assert ended.status == "failed"
    assert said in ended.error
    assert "Pydantic AI" not in ended.error
    assert ended.fix


def test_a_server_that_is_not_there(stop, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    agent = OneshotAgent()
    [_, ended] = agent.run(Task("?", model=MODELS["chat"], limits=Limits(seconds=30)), stop)
    agent.close()
    assert "could not connect" in ended.error


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"SSL_CERT_FILE": "/none/ca.pem"}, "SSL_CERT_FILE names a file that does not exist: /none/ca.pem"),
        ({"OPENAI_API_KEY": "one\ntwo"}, "OPENAI_API_KEY has a line break"),
        ({"HTTPS_PROXY": "http://127.0.0.1:9"}, "All connection attempts failed"),
    ],
)
def test_a_fault_of_the_environment_names_its_variable(stop, monkeypatch, environ, said):
    for name, value in {
        "OPENAI_API_KEY": "x",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        **environ,
    }.items():
        monkeypatch.setenv(name, value)
    agent = OneshotAgent()
    [_, ended] = agent.run(Task("?", model=MODELS["chat"]), stop)
    agent.close()
    assert said in ended.error
    assert next(iter(environ)) in ended.fix


def test_a_base_url_without_a_path_is_named(stop, monkeypatch):
    with ModelServer(lambda _: Reply("404 page not found", status=404)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "x")
        agent = OneshotAgent()
        [_, ended] = agent.run(Task("?", model=MODELS["chat"]), stop)
        agent.close()
    assert f"set OPENAI_BASE_URL to {server.url}/v1" in ended.fix


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "http://127.0.0.1:11434/v1"),
        ({"OLLAMA_HOST": "0.0.0.0"}, "http://127.0.0.1:11434/v1"),
        ({"OLLAMA_HOST": "box:1234"}, "http://box:1234/v1"),
        ({"OLLAMA_HOST": "https://ollama.test"}, "https://ollama.test:443/v1"),
        ({"OLLAMA_HOST": "[::1]:9"}, "http://[::1]:9/v1"),
        ({"OLLAMA_BASE_URL": "http://box:1"}, "http://box:1/v1"),
        ({"OLLAMA_BASE_URL": "http://box:1/api/v1", "OLLAMA_HOST": "other"}, "http://box:1/api/v1"),
    ],
)
def test_the_address_of_ollama_is_found(environ, url):
    prepare_model_environment(environ, "ollama:m")
    assert environ["OLLAMA_BASE_URL"] == url


def test_a_line_break_after_a_key_is_no_part_of_it():
    environ = {"OPENAI_API_KEY": "abc\n", "DEPLOY_KEY": "-----\n"}
    prepare_model_environment(environ, "openai:m")
    assert environ["OPENAI_API_KEY"] == "abc"
    assert environ["DEPLOY_KEY"] == "-----\n"


def test_a_server_that_does_not_answer_is_not_waited_for(ask):
    events, _ = ask("chat", [Reply("late", delay=5)], Task("?", limits=Limits(seconds=0.3)))
    assert events[-1].status == "limit"
    assert "no answer in time" in events[-1].error


def test_a_stop_ends_a_question(ask, stop):
    timer = threading.Timer(0.3, stop.request, [STOP])
    timer.start()
    events, _ = ask("chat", [Reply("late", delay=4)], Task("?"))
    assert events[-1].status == "cancelled"
    timer.join()


def test_a_limit_of_tokens_is_one(ask):
    replies = [Reply(output={"n": 1}), Reply(output={"n": 2})]
    events, _ = ask("chat", replies, Task("word " * 500, "", SCHEMA, even, limits=Limits(tokens=10)))
    assert events[-1].status == "limit"


def test_answer_reports_its_calls_tokens_and_cost(ask):
    events, _ = ask("chat", [Reply(output={"n": 2})], Task("?", "", SCHEMA))
    answer = collect_result(events)
    assert answer.usage.calls == 1
    assert answer.usage.input > 0
    assert answer.usage.cost > 0
    unknown, _ = ask("ollama", [Reply(output={"n": 2})], Task("?", "", SCHEMA))
    assert collect_result(unknown).usage.cost is None


def test_costs_are_known_when_all_are():
    assert total_usage(Usage(1, 2, cost=0.5), Usage(3, 4, cost=0.25)) == Usage(4, 6, 0, 2, 0.75)
    assert total_usage(Usage(1, 2, cost=0.5), Usage(3, 4)).cost is None
    assert collect_result([]).ended.status == "failed"


def choose(name, home, **source):
    return open_agent(name, AnswerSource(**source), UsageLabel("c"), settings=Settings(home), environ={})


def test_prices_are_those_of_a_list():
    assert prices.cost("openai:gpt-5", 1_000_000) == prices.cost("gpt-5", 1_000_000) > 0
    assert prices.cost("gpt-5-nano,gpt-5", 1000) == prices.cost("openai-chat:gpt-5", 1000)
    assert prices.cost("bedrock:anthropic.claude-sonnet-4-5-20250929-v1:0", 1000) > 0
    assert (
        prices.cost("gpt-5", 1000, 1000) > prices.cost("gpt-5", 1000) > prices.cost("gpt-5", 1000, 0, 900)
    )
    unknown = ("ollama:qwen3:8b", "no-such-model", "", "a:b:c", "gpt-5,x")
    assert [prices.cost(name, 1000) for name in unknown] == [None] * 5


# -- a script -----------------------------------------------------------------------------------------


def test_a_script_answers_by_what_is_asked(tmp_path, stop):
    path = tmp_path / "script.yaml"
    answers = [
        {"when": "cart", "text": "a cart", "times": 0},
        {"text": "first", "cost": 0.5},
        {"error": "broken"},
    ]
    path.write_text(yaml.safe_dump({"answers": answers}))
    agent = scripted.load_script(path)
    said = [
        collect_result(agent.run(Task(prompt), stop)).ended
        for prompt in ("the cart", "x", "a cart", "y", "z")
    ]
    assert [each.output or each.error for each in said[:4]] == ["a cart", "first", "a cart", "broken"]
    assert "no answer" in said[4].error
    stop.request(STOP)
    assert collect_result(agent.run(Task("cart"), stop)).ended.status == "cancelled"


@pytest.mark.parametrize("text", ["answers: 3", "answer: []", "- x", "answers:\n- {tetx: x}", ""])
def test_invalid_answer_script_is_refused(tmp_path, text):
    path = tmp_path / "script.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match="script"):
        scripted.load_script(path)


@pytest.mark.parametrize("name", ["claude:opus", "codex:x", "oneshot:x", "scripted:x"])
def test_an_argument_that_an_agent_does_not_take_is_refused(name, tmp_path):
    with pytest.raises(UsageError, match="takes no argument"), choose(name, tmp_path):
        pass


def test_a_script_that_is_not_there(tmp_path):
    with (
        pytest.raises(UsageError, match="could not read"),
        choose("scripted", tmp_path, script=str(tmp_path / "no")),
    ):
        pass
    with pytest.raises(UsageError, match="needs a script"), choose("scripted", tmp_path):
        pass
    with pytest.raises(UsageError, match="unknown agent 'onehsot'"), choose("onehsot", tmp_path):
        pass


# -- a recording --------------------------------------------------------------------------------------


def test_a_recording_says_the_same_again_with_secrets_masked(tmp_path, stop):
    key = "sk-" + "a1B2" * 8
    script = scripted.ScriptedAgent([
        scripted.ScriptedAnswer(text=f"the key is {key}"),
        scripted.ScriptedAnswer(text="second"),
    ])
    path = tmp_path / "sub" / "recording"
    recorder = RecordingAgent(script, path)
    task = Task("one")
    first = [list(recorder.run(task, stop)), list(recorder.run(task, stop))]
    assert key not in path.read_text()
    replayer = ReplayAgent(path)
    again = [list(replayer.run(task, stop)) for _ in range(3)]
    assert again[1] == again[2] == first[1]
    assert "***" in again[0][-1].output
    other = list(replayer.run(Task("another"), stop))
    assert "no answer to 'another'" in other[-1].error
    assert [event for event in first[0] if isinstance(event, AgentStarted)] == [AgentStarted("scripted")]


def test_missing_or_invalid_recording_is_refused(tmp_path):
    with (
        pytest.raises(UsageError, match="could not read"),
        choose("oneshot", tmp_path, replay=str(tmp_path / "no")),
    ):
        pass
    (tmp_path / "bad").write_text('{"task": "x", "begins": "", "events": []}\n{"x"\n')
    with pytest.raises(UsageError, match="bad:2 is not a line"):
        ReplayAgent(tmp_path / "bad")
    with pytest.raises(UsageError, match="could not write"):
        RecordingAgent(scripted.ScriptedAgent([]), tmp_path)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1 failed in 1.72s", "1 failed in 1.80s"),
        ("<Cart object at 0x7f1e2d3c4b5a>", "<Cart object at 0x7f0000000000>"),
        ("/tmp/pytest-of-me/pytest-12/test_a0/x.json", "/tmp/pytest-of-me/pytest-13/test_a0/x.json"),
        ("took 12 ms", "took 9 ms"),
        ("12:01:59,120 ERROR", "12:02:03,007 ERROR"),
    ],
)
def test_task_digest_leaves_out_what_differs_between_two_equal_runs(one, other):
    assert task_digest(Task(one)) == task_digest(Task(other))
    assert task_digest(Task(one), exact=True) != task_digest(Task(other), exact=True)
    assert task_digest(Task("assert 3 == 4")) != task_digest(Task("assert 3 == 5"))


def test_task_digest_depends_only_on_what_the_model_is_asked():
    task = Task("a", "b", SCHEMA, model="m")
    assert task_digest(task) == task_digest(task._replace(limits=Limits(seconds=3), check=even))
    others = [
        task._replace(prompt="x"),
        task._replace(instructions="x"),
        task._replace(schema=None),
        task._replace(model="x"),
    ]
    assert len({task_digest(each) for each in [task, *others]}) == 5


# -- a ledger -----------------------------------------------------------------------------------------


def test_ledger_records_costs_and_the_daily_limit_stops_calls(tmp_path, stop):
    script = [scripted.ScriptedAnswer(text="x", cost=0.4, input_tokens=10, output_tokens=5, times=0)]
    ledger = Ledger(tmp_path / "state")
    agent = MeteredAgent(scripted.ScriptedAgent(script), ledger, "refactor", 1.0)
    ends = [collect_result(agent.run(Task("?", model="m"), stop)).ended for _ in range(4)]
    assert [end.status for end in ends] == ["ok", "ok", "ok", "limit"]
    assert "$1.20 of $1.00" in ends[-1].error
    kept = ledger.entries()
    assert [(each.command, each.model, each.input, each.cost) for each in kept] == [
        ("refactor", "m", 10, 0.4)
    ] * 3
    old = LedgerEntry(0.0, "c", "m", "a", 1, 1, cost=50.0)
    ledger.add(old)
    (tmp_path / "state/usage.jsonl").open("a").close()
    with (tmp_path / "state/usage.jsonl").open("ab") as file:
        file.write(b'{"at": 1, "comm')
    assert len(ledger.entries()) == 4
    assert ledger.cost_today() == pytest.approx(1.2)
    assert Ledger(tmp_path / "none").entries() == []


def test_many_processes_write_one_ledger(tmp_path):
    threads = [
        threading.Thread(
            target=lambda n=n: [
                Ledger(tmp_path).add(LedgerEntry(n, "c" * 500, "m", "a", i, 1)) for i in range(50)
            ]
        )
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Ledger(tmp_path).entries()) == 400


def test_a_recording_with_half_a_key_can_be_read(tmp_path, stop):
    script = scripted.ScriptedAgent([
        scripted.ScriptedAnswer(text='-----BEGIN RSA PRIVATE KEY-----\n"quoted"')
    ])
    path = tmp_path / "recording"
    list(RecordingAgent(script, path).run(Task("one"), stop))
    assert list(ReplayAgent(path).run(Task("one"), stop))[-1].status == "ok"


def test_a_script_whose_answers_never_fit_ends(stop):
    def never(_output):
        raise ValueError("never")

    script = scripted.ScriptedAgent([scripted.ScriptedAnswer(text="x", times=0)])
    ended = list(script.run(Task("one", check=never), stop))[-1]
    assert ended.status == "failed"
    assert "never" in ended.error
