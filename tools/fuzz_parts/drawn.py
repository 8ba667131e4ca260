"""Drawn specs that check accepts, on tiny data: the model is built, and trained for a step."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
import sys
from typing import Any

from fuzz_parts.trying import ACCEPTED, NAMED, REFUSED
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

from kplug.errors import BlownUp, SpecError
from kplug.spec.plugins import host
from kplug.spec.spec import loads
from kplug.spec.yaml12 import dump

DRAWS = 40  # of which the last that check accepts is the case: the first are the plainest
MOST = 32  # of whole numbers, so that models are tiny


class DrawnSpecs:
    """A spec from the annotations of all that is registered."""

    seconds, megabytes, added, lasts = 120.0, 4_000.0, True, 25

    def begin(self) -> None:
        """Load TensorFlow."""
        from kplug.console import load_tensorflow

        load_tensorflow()
        host()
        # Hypothesis draws numbers and texts that it finds in loaded modules: they must be the same in each case
        for package in ("kplug", *(name for name in sys.modules if name.startswith("kplug_") and "." not in name)):
            for module in pkgutil.walk_packages(sys.modules[package].__path__, f"{package}."):
                with contextlib.suppress(Exception):  # what an extra brings may not be here
                    if not module.name.endswith("__main__"):
                        importlib.import_module(module.name)

    def case(self, seed: int, index: int) -> str:
        """The text of a spec that check accepts, on tiny data."""
        return _drawn(f"{seed} {index}")

    def file(self, text: str) -> tuple[bytes, str]:
        """The text."""
        return text.encode("utf-8", "surrogatepass"), ".yaml"

    def run(self, text: str) -> tuple[str, str]:
        """Build it and make a step; what a component raises is named, with the place of its node."""
        if not text:
            return REFUSED, f"none of {DRAWS} draws is accepted by check"
        try:
            _make_a_step(loads(text, "case.yaml"))
        except (SpecError, BlownUp) as error:
            return REFUSED, str(error).partition("\n")[0][:200]
        except Exception as error:
            notes = [note for note in getattr(error, "__notes__", ()) if "while building " in note]
            if notes and not notes[0].endswith(" of kplug"):  # what is ours says what is wrong
                return NAMED, f"{type(error).__name__}: {' '.join(str(error).split())[:120]} ({notes[0]})"
            raise
        return ACCEPTED, ""


def _make_a_step(spec: Any) -> None:
    from kplug.data.splits import open_data
    from kplug.model.machine import Hardware
    from kplug.records import Rebuild
    from kplug.training.fit import prepare
    from kplug.training.plan import Plan
    from kplug.training.stage import training_batches
    from kplug.training.workers import join

    cluster = join(spec)
    plan = Plan(open_data(spec), cluster, Hardware.here(cluster.replicas))
    prepared = prepare(plan, plan.stages[0], Rebuild(), is_new=True)
    prepared.learner.model.fit(training_batches(prepared, 0).take(1), epochs=1, steps_per_epoch=1, verbose=0)


def _drawn(name: str) -> str:
    """The text of the last of the draws that check accepts on tiny data; "" where it accepts none."""
    from fuzz_parts.drawing import specs

    found = [""]

    @seeded(name)
    @settings(
        max_examples=DRAWS,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(specs)
    def draw(data: Any) -> None:
        text = dump(_tiny(data))
        try:
            loads(text)
            found.append(text)
        except SpecError:
            pass

    draw()
    return found[-1]


def _tiny(spec: dict[str, Any]) -> dict[str, Any]:
    """The same on scanned digits of 8 by 8 pixels, with small numbers, one stage and no search."""
    small = _small(spec)
    data = {key: value for key, value in small["data"].items() if key not in ("features", "validation")}
    fit = {key: value for key, value in small.get("fit", {}).items() if key not in ("stages", "strategy", "threads")}
    rest = {key: value for key, value in small.items() if key != "search"}
    return rest | {"data": data | {"source": "digits"}, "fit": fit | {"epochs": 1}}


def _small(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: None if key == "weights" else _small(inside) for key, inside in value.items()}
    if isinstance(value, list):
        return [_small(inside) for inside in value]
    if type(value) is int and abs(value) > MOST:
        return abs(value) % MOST + 1
    return value % 1 if isinstance(value, float) and abs(value) > 1e3 else value
