"""Kinds that plugins declare: they stand beside kplug's own in specs, lists, the schema and contracts."""

from typing import Annotated, Any

import pytest

import kplug
from kplug import Architecture, DataInfo, SpecError, Task, hookimpl
from kplug.kinds import Count, Kind
from kplug.spec.component import BadComponent
from kplug.spec.listing import components_listing
from kplug.spec.plugins import host
from kplug.spec.schema import schema
from kplug.testing import check, plugged

DECODER = Kind("decoder", "a function of features to scores", contract=f"{__name__}:demand_scores")
Decoder = Annotated[Any, DECODER]


def demand_scores(decoder: Any) -> None:
    if decoder(3) < 0:
        raise AssertionError("a decoder gives scores of at least 0")


def doubling(times: Count = 2) -> Decoder:
    """Multiply.

    Args:
        times: by so much.
    """
    return lambda value: value * times


def negative() -> Decoder:
    """Break the promise."""
    return lambda value: -value


def decoding(data: DataInfo, model: Architecture, decoder: Decoder = "doubling") -> Task:
    """Learn nothing: it is there for its decoder.

    Args:
        model: a network.
        decoder: what follows it.
    """


class Declaring:
    distribution = "kplug-decoders"

    @staticmethod
    @hookimpl
    def kinds():
        return [DECODER]

    @staticmethod
    @hookimpl
    def components():
        return [doubling, decoding, negative]


class Further:
    """Another plugin, which takes the kind from the first."""

    distribution = "kplug-further"

    @staticmethod
    @hookimpl
    def components():
        def tripling() -> Decoder:
            """Multiply by three."""
            return lambda value: 3 * value

        return [tripling]


SPEC = "{name: a, task: {type: decoding, model: flatten, decoder: DECODER}, data: {source: digits}}"


def test_it_works_like_every_other_kind():
    with plugged(Declaring, Further):
        spec = kplug.loads(SPEC.replace("DECODER", "{type: doubling, times: 3}"))
        assert spec["task.decoder.times"] == 3
        assert kplug.loads(SPEC.replace("DECODER", "tripling"))["task.decoder"].name == "tripling"
        with pytest.raises(SpecError, match="no decoder named 'doublin'; did you mean 'doubling'"):
            kplug.loads(SPEC.replace("DECODER", "doublin"))
        listing = components_listing(host().registry, None, False)
        assert "decoder (3): doubling, negative, tripling" in listing
        assert "times = 2" in components_listing(host().registry, "decoder", False, "doubling")
        assert "decoder.doubling" in schema(host().registry)["definitions"]


def test_its_contract_is_asked():
    with plugged(Declaring):
        check(doubling)
        check(doubling, times=5)
        with pytest.raises(AssertionError, match="scores of at least 0"):
            check(negative)


def test_a_kind_that_nobody_declares_is_no_kind():
    with pytest.raises(BadComponent, match=r"'decoder', which nobody declares \(hook `kinds`\)"), plugged(Further):
        pass


def test_a_name_is_one_kind():
    class Other:
        @staticmethod
        @hookimpl
        def kinds():
            return [Kind("loss", "something else")]

    with pytest.raises(BadComponent, match="the kind 'loss' is there already"), plugged(Other):
        pass
