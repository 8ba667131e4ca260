"""A plugin that notes in each run when its first step began and when it was done, by the clock all processes share."""

from kplug import hookimpl

FIRST_STEP = "first_step.json"


@hookimpl
def callbacks(run):
    import time

    import keras

    class Stopwatch(keras.callbacks.Callback):
        began = None

        def on_train_batch_begin(self, batch, logs=None):
            if self.began is None:
                self.began = time.monotonic()

        def on_train_batch_end(self, batch, logs=None):
            if not (run.path / FIRST_STEP).exists():
                run.write_json(FIRST_STEP, {"begin": self.began, "end": time.monotonic()})

    return [Stopwatch()]
