"""What a function becomes in TensorFlow's graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def apart(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that stays one operation of the graph it is called in.

    Of a branch that is not taken every operation is still visited; for small pictures that costs more than their work.
    """
    return tf.function(function, autograph=False, experimental_attributes={"_noinline": True})
