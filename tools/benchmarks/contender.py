"""One side of a race: a process that trains, or reads its data, in chunks that the driver asks for on stdin.

`go LEAD STEPS` makes LEAD steps that are not timed, then STEPS that are, and answers with a line of JSON on stdout;
between chunks the process waits for the next line, inside of Keras's `fit`. End of input ends it. Nothing heavy is
imported at the top, and nothing of kplug anywhere: the scripts that kplug is compared with use this file too.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

FOREVER = 10**4  # epochs; the driver ends the process long before


class Chunks:
    """Counts the steps of the chunk that was asked for, and answers when it is done."""

    def __init__(self, answers: TextIO) -> None:
        self.answers = answers
        self.commands: dict[str, Callable[[], dict[str, Any]]] = {}
        self.lead = self.steps = self.base = 0
        self.timed_from: tuple[float, int] | None = None
        self.waiting_for_first = True

    def begin_epoch(self) -> None:
        """A chunk that reaches over an epoch's end starts again: what happens there is no step."""
        self.base, self.timed_from = 0, None

    def step(self, number: int, **known: Any) -> None:
        """Step `number` of the epoch, counted from 1, is done."""
        if self.waiting_for_first:
            self.waiting_for_first = False
            self.answer(first_step=True, **known)
            self.wait(number)
        elif self.timed_from is None:
            if number - self.base >= self.lead:
                self.timed_from = time.perf_counter(), number
        elif number - self.timed_from[1] >= self.steps:
            self.answer(steps=number - self.timed_from[1], seconds=time.perf_counter() - self.timed_from[0])
            self.wait(number)

    def wait(self, number: int) -> None:
        """Block until the driver asks for a chunk."""
        for line in sys.stdin:
            word, *numbers = line.split()
            if word == "go":
                self.lead, self.steps = map(int, numbers)
                self.base, self.timed_from = number, None
                return
            self.answer(**self.commands[word]())
        os._exit(0)  # the driver has gone, or has what it wants

    def answer(self, **content: Any) -> None:
        self.answers.write(json.dumps(content) + "\n")
        self.answers.flush()


def take_stdout() -> TextIO:
    """Standard output, for answers alone: whatever else is printed goes to standard error from now on."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def make_gate(chunks: Chunks) -> Any:
    """The Keras callback that stops at a chunk's end until the next is asked for."""
    import keras

    class Gate(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            chunks.begin_epoch()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            chunks.step(batch + 1, parameters=self.model.count_params())

    return Gate()


def read_in_chunks(dataset: Any, chunks: Chunks) -> None:
    """The input pipeline alone: batches are taken and let go."""
    for number, _ in enumerate(dataset, 1):
        chunks.step(number)


def run_script(make_model: Callable[[int], Any], make_dataset: Callable[[str, int], tuple[Any, int]]) -> None:
    """The command line of a script: `train DATA` or `input DATA`.

    Args:
        make_model: steps in an epoch to a compiled model.
        make_dataset: where the data is and a seed to batches without end and the number of them in an epoch.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["train", "input"])
    parser.add_argument("data")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    chunks = Chunks(take_stdout())
    import keras

    keras.utils.set_random_seed(asked.seed)
    dataset, steps = make_dataset(asked.data, asked.seed)
    if asked.what == "input":
        return read_in_chunks(dataset, chunks)
    model = make_model(steps)
    model.fit(dataset, epochs=FOREVER, steps_per_epoch=steps, callbacks=[make_gate(chunks)], verbose=0)
    return None
