"""The fields of an example: their arrays, and the codec that reads each."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from kplug.errors import SpecError

if TYPE_CHECKING:
    from kplug.records.data import Split
    from kplug.records.geometry import Geometry


@dataclass(frozen=True)
class Field:
    """One array of an example or of an answer.

    Args:
        shape: of one example; None where a size varies.
        dtype: NumPy's name of it; "string" for bytes.
        about: what it is, in one phrase.
        below: integers are at least 0 and less than this, where that is known.
        averaged: the mean over several views of an example makes sense, as it does for probabilities.
        frame: of what has a value for each pixel, `[height, width, ...]`: the field of the picture whose pixels they
            are; a view that was moved is then moved back before the mean is taken.
        like: the array of a batch that gives examples of it, where that has another name.
    """

    shape: tuple[int | None, ...]
    dtype: str
    about: str = ""
    below: int | None = None
    averaged: bool = False
    like: str = ""
    frame: str = ""


class Codec(ABC):
    """A `Feature` makes this: the way one field of an example is learnt, read, kept, drawn and served.

    A codec is a frozen dataclass that is made without TensorFlow; its methods import it. It may have several arrays in
    a batch: the field itself, by the suffix "", and others, such as the classes of boxes, by suffixes of their own; a
    batch names them `FIELD` and `FIELD_SUFFIX`.
    """

    takes_batches: bool = False  # whether `read` takes `[batch, ...]` too
    mends: bool = False  # whether `mend` does anything
    never_fails: bool = False  # whether `read` takes any raw value
    must_match: tuple[str, ...] = ()  # facts that other data must share with the run that is asked about it
    raw_suffix: str = ""  # an endpoint takes the raw form of a field as `FIELD_SUFFIX`, where there is one: "bytes"
    raw: Field | None = None  # the form in which a person sends the field, a file say; None where there is no other
    ending: str = ".npy"  # of a file that `keep` makes

    # A picture may have fields that live in it: they go where it goes.
    is_frame: bool = False  # a picture, in which others may live
    linked: str | None = None  # of a picture: the field of another that shows the same, which it moves with
    in_frame: bool = False  # it lives in a picture
    frame: str | None = None  # the field of the picture that it lives in; the host fills in the only one
    restored_ending: str = ".png"  # of the file that `restore` makes where it gives `bytes`
    of: str | None = None  # the field that it is taken from, in place of what the source gives: see `derive`
    moves: bool = False  # `warp` is there: augmentations may move it
    shown_once: bool = False  # it says of each object where it is: a fill that shows objects again is refused
    mixes: bool = False  # `mix` is there: shares of two examples may become one
    pastes: bool = False  # `mix` takes shares that differ from pixel to pixel too: a part of another example

    @property
    @abstractmethod
    def field(self) -> Field:
        """The field in a batch, as far as it is known; after `with_facts` all of it is."""

    @property
    def arrays(self) -> dict[str, Field]:
        """All arrays that a batch has of the field, by suffix."""
        return {"": self.field}

    def learn(self, name: str, splits: Mapping[str, Split]) -> dict[str, Any]:
        """Find out what the data says of the field, as plain JSON, which the run keeps.

        Args:
            name: of the field.
            splits: by name; validation is set apart from train. What is learnt is learnt from train, and a capacity,
                such as the largest count, from all.

        Raises:
            SpecError: the data is not what the feature is for.
        """
        return {}

    def learn_from(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """The facts of a field that is taken from another (`of`), from those of that one; by default the same.

        Args:
            facts: of the other field, as its feature has learnt them.
        """
        return dict(facts)

    def with_facts(self, facts: Mapping[str, Any]) -> Self:
        """The codec that knows what was learnt: a fact fills the parameter of its name where that is None."""
        unset = [item.name for item in dataclasses.fields(self) if getattr(self, item.name) is None]  # type: ignore[arg-type]
        return dataclasses.replace(self, **{name: _as_tuples(facts[name]) for name in unset if name in facts})  # type: ignore[type-var]

    @property
    def served(self) -> Codec:
        """The codec that reads raw forms which strangers send: it may allow less work for one than a training does."""
        return self

    def read(self, value: Any) -> Any:
        """Bring what a source gave, or a person sent, into the form of a batch: a tensor, or tensors by suffix.

        It is the same function in a training and in an export: graph-safe, without a state.

        Args:
            value: of one example, or `[batch, ...]` where `takes_batches`.
        """
        how = "read_in" if self.in_frame else "read, which it lacks"
        raise NotImplementedError(f"{type(self).__name__} is read by {how}")

    def read_in(self, value: Any, placement: Any) -> Any:
        """Do what `read` does, for a field that lives in a picture.

        Args:
            value: of one example, in the frame of the upright file: a tensor, or tensors by suffix.
            placement: how the picture was placed, float32 [6]: `records.geometry.PLACEMENT`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not live in a picture")

    def read_placed(self, value: Any) -> tuple[Any, Any]:
        """Do what `read` does, for a picture, and return its placement beside."""
        raise NotImplementedError(f"{type(self).__name__} is no picture that others live in")

    def derive(self, arrays: Mapping[str, Any]) -> Any:
        """The arrays of the field from those of the field that it is taken from (`of`), `[batch, ...]` by suffix."""
        raise NotImplementedError(f"{type(self).__name__} is not taken from another field")

    def warp(self, arrays: Mapping[str, Any], geometry: Geometry) -> dict[str, Any]:
        """The arrays of a batch, by suffix, after the picture that they live in, or are, was moved."""
        raise NotImplementedError(f"{type(self).__name__} cannot be moved")

    def mix(self, arrays: Mapping[str, Any], others: Mapping[str, Any], share: Any) -> dict[str, Any]:
        """The arrays of examples that are mixed with others.

        Args:
            arrays: `[batch, ...]` by suffix.
            others: those of the examples that they are mixed with, row by row.
            share: of the first, 0 to 1: float32 [batch], or [batch, height, width] where `pastes`, with 0 and 1 alone.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot be mixed")

    def restored(self) -> dict[str, Field]:
        """The arrays that `restore` gives, by suffix, of one example."""
        return self.arrays

    def restore(self, arrays: Mapping[str, Any], placement: Any) -> dict[str, Any]:
        """The arrays of one example, by suffix, in the frame of the upright file: what is outside is blank."""
        raise NotImplementedError(f"{type(self).__name__} does not live in a picture")

    def draw(self, arrays: Mapping[str, Any], draw: Any, factor: int) -> None:
        """Draw one example's arrays, by suffix, on the picture that they live in; nothing by default.

        Args:
            arrays: in the frame of the batch's picture.
            draw: a `PIL.ImageDraw.Draw` of the picture, enlarged.
            factor: how many times.
        """
        return None

    def mend(self, value: Any) -> Any:
        """Bring what an augmentation has changed back into the form of a batch, `[batch, ...]`."""
        return value

    def reason(self, error: Exception) -> str:
        """The reason why a value could not be read, in words."""
        return str(getattr(error, "message", error)).splitlines()[0]

    def keep(self, value: Any) -> bytes:
        """The content of a file, for people where that can be, that `open` makes the same array of."""
        import io

        import numpy

        file = io.BytesIO()
        numpy.save(file, value, allow_pickle=False)
        return file.getvalue()

    def open(self, content: bytes) -> Any:
        """The array that `keep` was given."""
        import io

        import numpy

        return numpy.load(io.BytesIO(content), allow_pickle=False)

    # raw values that a server may be sent and cannot read
    hostile: tuple[bytes, ...] = ()

    def raws(self, value: Any) -> list[Any]:
        """A value of a batch in its raw form, as a person may send it; first the one that gives the same value again.

        They are bytes, or lists of bytes where `raw` has an axis.

        Only codecs with a `raw` form have one.
        """
        raise NotImplementedError(f"{type(self).__name__} has no raw form")

    def assets(self, name: str) -> dict[str, str]:
        """Texts that an export keeps for those who ask it, by file name: class names, a vocabulary."""
        return {}

    def remarks(self, name: str, facts: Mapping[str, Any]) -> list[str]:
        """Remarks that a person is told when a training begins: how many texts are cut, say.

        Args:
            name: of the field.
            facts: what `learn` found out.
        """
        return []

    def summary(self, value: Any) -> str:
        """A value in a few words, for one line of text."""
        import numpy

        array = numpy.asarray(value)
        if array.size <= 8:
            return str(array.tolist())
        if array.dtype.kind not in "iuf":
            return f"{array.dtype} {list(array.shape)}"
        return f"{array.dtype} {list(array.shape)} from {array.min():.5g} to {array.max():.5g}"


@dataclass(frozen=True)
class AsItIs(Codec):
    """The codec of an array of numbers that is left alone.

    Args:
        shape: of one example.
        dtype: NumPy's name of it.
    """

    shape: tuple[int | None, ...] | None = None
    dtype: str | None = None
    takes_batches = True

    @property
    def field(self) -> Field:
        return Field(self.shape or (), self.dtype or "float32")

    def learn(self, name: str, splits: Mapping[str, Split]) -> dict[str, Any]:
        train = splits["train"]
        if name in train.columns:
            column = train.columns[name]
            if column.dtype.kind not in "biuf":
                raise SpecError(f"'{name}' is text, and this feature is for numbers")
            return {"shape": list(column.shape[1:]), "dtype": column.dtype.name}
        import tensorflow as tf

        row = tf.data.Dataset.from_tensors(tf.constant(0, tf.int64))
        spec = row.map(lambda row: train.load(row)[name]).element_spec  # nothing is loaded for it
        if spec.dtype == tf.string:
            raise SpecError(f"'{name}' is text or files, and this feature is for numbers")
        if not spec.shape.is_fully_defined():  # it is refused, unless something reads it that makes the shapes one
            return {}
        return {"shape": spec.shape.as_list(), "dtype": spec.dtype.name}

    def read(self, value: Any) -> Any:
        return value


def _as_tuples(value: Any) -> Any:
    """Plain JSON with tuples in the place of lists, as frozen records hold them."""
    return tuple(map(_as_tuples, value)) if isinstance(value, list | tuple) else value
