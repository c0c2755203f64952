"""A project's `.env` may not set the variables that decide what programs load and run."""

from pathlib import Path

import pytest

from prunejuice.system import settings

NAMES = (*settings._PROTECTED_VARIABLES, *settings.INHERITED_VARIABLES)
PREFIXED = tuple(f"{prefix}X" for prefix in settings._PROTECTED_PREFIXES)


@pytest.mark.parametrize("name", [*NAMES, *PREFIXED, "LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "GIT_DIR"])
def test_a_protected_variable_is_left_out(name):
    content = f"{name}=/tmp/evil\nMINE=1\n".encode()
    assert settings.parse_dotenv(content, Path(".env")) == {"MINE": "1"}


@pytest.mark.parametrize("name", ["MY_PATH", "PATHS", "DATABASE_URL", "LDAP", "GITHUB_URL", "ENVIRONMENT"])
def test_another_variable_is_passed_on(name):
    assert settings.parse_dotenv(f"{name}=x\n".encode(), Path(".env")) == {name: "x"}


def test_every_variable_that_decides_what_runs_is_listed():
    listed = {
        "PATH",
        "ENV",
        "BASH_ENV",
        "BASHOPTS",
        "SHELLOPTS",
        "IFS",
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTHONSTARTUP",
        "NODE_OPTIONS",
        "RUBYOPT",
        "PERL5OPT",
    }
    assert listed <= set(NAMES)
    assert {"LD_", "DYLD_", "GIT_", "PRUNEJUICE_"} <= set(settings._PROTECTED_PREFIXES)
