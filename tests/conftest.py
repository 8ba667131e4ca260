"""What holds for all tests."""

import signal

import pytest


@pytest.fixture(scope="session", autouse=True)
def signals_are_heard():
    """A shell has its background jobs ignore Ctrl-C, nohup SIGHUP, and so would every process that a test starts."""
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGHUP: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
