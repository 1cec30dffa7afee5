import pathlib
import tempfile

import pytest

import chaos
import harness
import systemd_machine


@pytest.fixture
def folder():
    """An empty folder."""
    with tempfile.TemporaryDirectory(prefix="sc-", dir="/tmp") as name:
        yield pathlib.Path(name)


@pytest.fixture
def venv():
    """A fake virtual environment with the stand-in, without faults."""
    with tempfile.TemporaryDirectory(prefix="sv-", dir="/tmp") as folder:
        yield harness.StandInVenv(folder)


@pytest.fixture(scope="session")
def make_venv():
    with tempfile.TemporaryDirectory(prefix="sv-", dir="/tmp") as folder:
        count = iter(range(1000))
        yield lambda version="0.32.0": harness.StandInVenv(pathlib.Path(folder) / str(next(count)), version)


@pytest.fixture(scope="module")
def booted():
    """A machine with a systemd of its own."""
    with systemd_machine.Machine() as machine:
        yield machine


@pytest.fixture
def machine(booted):
    """It, with one provider configured and our program installed; nothing runs."""
    booted.reset()
    booted.configure(booted.provider())
    yield booted
    booted.reset()
    booted.restore()


@pytest.fixture
def stoker(machine):
    """The daemon there, as a client sees it."""
    return systemd_machine.Client(machine)


@pytest.fixture(scope="session", autouse=True)
def kept_table():
    """What fault injection has found, printed when all is over, and kept where that is asked for."""
    yield
    if not chaos.Row.all:
        return
    for fault, mark, note in chaos.ELSEWHERE:
        chaos.Row(fault, mark, note)
    print("\n" + chaos.table())
    if chaos.TABLE:
        chaos.write_table()
