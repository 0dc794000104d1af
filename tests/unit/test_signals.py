"""Signals that ask to stop: noted once, the former handlers come back."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from glcm_mae.signals import STOPPING, StopSignals

by_name = pytest.mark.parametrize("sign", STOPPING, ids=lambda sign: sign.name)


@pytest.fixture(autouse=True)
def former() -> Iterator[list[int]]:
    """Handlers that the tests find afterwards: they note what comes to them."""
    came: list[int] = []
    before = {
        sign: signal.signal(sign, lambda number, _: came.append(number)) for sign in STOPPING
    }
    yield came
    for sign, handler in before.items():
        signal.signal(sign, handler)


@by_name
def test_the_handler_only_notes(sign: signal.Signals, former: list[int]) -> None:
    with StopSignals() as stop:
        assert stop.arrived is None
        signal.raise_signal(sign)
        assert stop.arrived is sign
    assert former == []


@by_name
def test_former_handlers_come_back(sign: signal.Signals, former: list[int]) -> None:
    before = signal.getsignal(sign)
    with StopSignals():
        assert signal.getsignal(sign) is not before
    assert signal.getsignal(sign) is before
    signal.raise_signal(sign)
    assert former == [sign]


def test_former_handlers_come_back_after_an_error() -> None:
    before = [signal.getsignal(sign) for sign in STOPPING]
    with pytest.raises(RuntimeError, match="inside"), StopSignals():
        raise RuntimeError("inside")
    assert [signal.getsignal(sign) for sign in STOPPING] == before


@by_name
def test_the_second_one_goes_to_the_former_handler(
    sign: signal.Signals, former: list[int]
) -> None:
    before = [signal.getsignal(each) for each in STOPPING]
    with StopSignals() as stop:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(sign)
        assert former == [sign]
        assert stop.arrived is signal.SIGTERM, "the first one counts"
        assert [signal.getsignal(each) for each in STOPPING] == before
    assert [signal.getsignal(each) for each in STOPPING] == before


def test_under_a_supervisor_further_ones_change_nothing(
    former: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glcm_mae.signals.supervised", lambda: True)
    with StopSignals() as stop:
        for sign in (signal.SIGUSR1, signal.SIGTERM, signal.SIGTERM):
            signal.raise_signal(sign)
        assert stop.arrived is signal.SIGUSR1
    assert former == []


def test_outside_the_main_thread_it_does_nothing() -> None:
    before = [signal.getsignal(sign) for sign in STOPPING]
    during: list[object] = []

    def other() -> None:
        with StopSignals() as stop:
            during.extend(signal.getsignal(sign) for sign in STOPPING)
            during.append(stop.arrived)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert during == [*before, None]
    assert [signal.getsignal(sign) for sign in STOPPING] == before


def test_one_within_another_gives_back_the_outer_one(former: list[int]) -> None:
    with StopSignals() as outer:
        with StopSignals() as inner:
            signal.raise_signal(signal.SIGINT)
        assert (inner.arrived, outer.arrived) == (signal.SIGINT, None)
        signal.raise_signal(signal.SIGTERM)
        assert outer.arrived is signal.SIGTERM
    assert former == []


@by_name
def test_twice_ends_the_process_at_once(sign: signal.Signals) -> None:
    code = f"""
import os, signal, sys
from glcm_mae.signals import StopSignals
with StopSignals() as stop:
    os.kill(os.getpid(), {int(sign)})
    print(stop.arrived.name, flush=True)
    os.kill(os.getpid(), {int(sign)})
    print("still there", flush=True)
"""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GLCM_MAE_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )
    assert done.stdout == f"{sign.name}\n", done.stderr
    # Python turns an interrupt into KeyboardInterrupt, and ends by the signal itself.
    assert done.returncode == -sign
