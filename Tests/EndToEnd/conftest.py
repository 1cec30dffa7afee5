import pathlib
import tempfile

import pytest

import harness


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
