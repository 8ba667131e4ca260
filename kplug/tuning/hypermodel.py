"""A spec with a search as a `keras_tuner.HyperModel`, for those who drive Keras Tuner themselves."""

from __future__ import annotations

from typing import Any

import keras
import keras_tuner

from kplug.data.pipeline import Data
from kplug.data.splits import open_data
from kplug.errors import SpecError
from kplug.model.learner import build_learner, build_optimizers
from kplug.records import FitInfo, Learner
from kplug.spec import Spec
from kplug.spec.search.space import spec_at
from kplug.tuning.oracle_space import declare, point_of


def hypermodel(spec: Spec) -> SpecHyperModel:
    """A `keras_tuner.HyperModel` over the space of a spec: `keras_tuner.RandomSearch(kplug.hypermodel(spec), ...)`."""
    return SpecHyperModel(spec)


class SpecHyperModel(keras_tuner.HyperModel):
    """Builds and trains what a spec's space declares; `build` and `fit` as Keras Tuner calls them.

    Args:
        spec: with a `search`.
    """

    def __init__(self, spec: Spec) -> None:
        space = spec.space()
        if space is None:
            raise SpecError("the spec has no search; write search: {space: {...}}")
        super().__init__(name=spec.name)
        self.spec, self.space = spec.at({}), space
        self.made: dict[int, tuple[Data, Learner]] = {}

    def declare_hyperparameters(self, hp: keras_tuner.HyperParameters) -> None:
        declare(self.space, hp)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build the compiled model of a point; data are opened for what the model must know of them.

        Its optimizers are built too: Keras Tuner loads the weights of the trial that is promoted before it trains on,
        and what is not built would begin anew, with the step that its schedule goes by.
        """
        declare(self.space, hp)
        spec = spec_at(self.spec, self.space, point_of(self.space, hp.values))
        data = open_data(spec)
        epochs = spec["fit.epochs"]
        learner = build_learner(spec, data.info, FitInfo(data.steps * epochs, epochs, is_new=True), "float32")
        build_optimizers(learner)
        self.made = {id(learner.model): (data, learner)}
        return learner.model

    def fit(self, hp: keras_tuner.HyperParameters, model: keras.Model, *args: Any, **options: Any) -> Any:
        """Train on the spec's data, as long as the spec says unless `epochs` is given; from `initial_epoch` on."""
        data, learner = self.made[id(model)]
        epochs = options.pop("epochs", data.spec["fit.epochs"])
        options.setdefault("verbose", 0)
        if "validation" in data.splits:
            options.setdefault("validation_data", data.evaluation(learner, "validation"))
        batches = data.training(learner, epochs, first_step=data.steps * options.get("initial_epoch", 0))
        return model.fit(batches, *args, epochs=epochs, steps_per_epoch=data.steps, shuffle=False, **options)
