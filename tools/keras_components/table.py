"""The table behind tools/keras_components/write: types, names, words and exceptions for every Keras class it writes.

A class of Keras that is neither here nor in LEFT_OUT, and a parameter without a type, stop the generator: nothing of a
new Keras release is taken in or left out unread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Entry:
    """An entry of the table, for one class; the rest is Keras's own.

    Args:
        summary: first docstring line; empty takes Keras's first sentence.
        name: the component's name; empty takes Keras's snake case.
        types: parameter to (type, documentation), before the table of the kind.
        defaults: parameter to the source of its default, instead of Keras's.
        leave_out: parameters that are no parameters of the component.
        add: parameters that Keras does not have: name to (type, documentation, default; "" is required).
        passed: keyword of Keras to the source of what is passed for it.
        injected: parameter to its injected type.
        rules: names of checks in kplug/default_plugins/keras_components/types.py.
        mark: source of the decorator that says what an augmentation does to the fields of an example.
        body: source of the returned expression instead of the call of the class.
        imports: (module of kplug.default_plugins, name) that the body needs.
    """

    summary: str = ""
    name: str = ""
    types: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    leave_out: tuple[str, ...] = ()
    add: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)
    passed: Mapping[str, str] = field(default_factory=dict)
    injected: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[str, ...] = ()
    mark: str = ""
    body: str = ""
    imports: tuple[tuple[str, str], ...] = ()


# Not for YAML in any component: callables and objects (weights), what the host sets (dtype, seed, name, layout), and
# what only a backend reads.
NEVER = {"self", "kwargs", "args", "name", "dtype", "seed", "data_format", "weights", "use_cudnn", "flash_attention"}
NEVER |= {
    "from_logits",  # losses always receive logits, metrics always probabilities
    "reduction",  # Keras's default; a task that weighs examples needs one value per example
    "loss_scale_factor",  # the host's precision decides
    "stateful",  # a state that crosses batches makes the result depend on their order
    "return_state",  # a list of tensors is no features
    "value_range",  # pictures are 0 to 255 in every batch
    "lora_rank",  # adapters belong to weights that are already trained, not to a layer's definition
    "lora_alpha",
    "quantization_config",
    "gptq_unpacked_column_size",
}

# --- parameters of layers ------------------------------------------------------------------------------------------

AXES = {1: "steps", 2: "height and width", 3: "depth, height and width"}
SIZES = {1: "Count", 2: "Count | Size", 3: "Count | Volume"}
OUTPUT_PADDING = {
    1: "Natural | None",
    2: "Natural | tuple[Natural, Natural] | None",
    3: "Natural | tuple[Natural, Natural, Natural] | None",
}


def sized(dimensions: int) -> dict[str, tuple[str, str]]:
    """Types of parameters that have a number for each of 1, 2 or 3 axes."""
    axes, size = AXES[dimensions], SIZES[dimensions]
    each = "" if dimensions == 1 else "; one number for all"
    border = f"Border{dimensions}D"
    sides = {
        1: "a number for both ends, or [before, after]",
        2: "a number for all sides, [height, width], or [[top, bottom], [left, right]]",
        3: "one number, [depth, height, width], or a pair [before, after] for each",
    }[dimensions]
    return {
        "kernel_size": (size, f"{axes} of the kernel{each}."),
        "pool_size": (size, f"{axes} of the window{each}."),
        "strides": (size, f"how far the window moves, in {axes}{each}."),
        "dilation_rate": (size, f"distance of the kernel's points, in {axes}{each}; 1 is plain."),
        "output_size": (size, f"{axes} of the output{each}."),
        "output_padding": (
            OUTPUT_PADDING[dimensions],
            f"what is added to the output's {axes}; null follows from padding.",
        ),
        "size": (size, f"by how much {axes} grow{each}."),
        "cropping": (border, f"what is cut off: {sides}."),
        "padding": (border, f"zeros that are added: {sides}."),
    }


LAYER_PARAMETERS: dict[str, tuple[str, str]] = {
    "activation": ("ActivationName | None", "function of the output; null is none."),
    "recurrent_activation": ("ActivationName | None", "function of the gates."),
    "units": ("Count", "size of the output's last axis."),
    "filters": ("Count", "channels of the output."),
    "groups": ("Count", "groups that the channels are split into, each with kernels of its own."),
    "depth_multiplier": ("Count", "output channels of the depthwise step for each input channel."),
    "use_bias": ("bool", "add a trained offset."),
    "rate": ("Fraction", "share of the inputs that is set to zero."),
    "dropout": ("Fraction", "share that is set to zero in training."),
    "recurrent_dropout": ("Fraction", "share of the state that is set to zero in training."),
    "noise_shape": ("tuple[Count | None, ...] | None", "shape of the mask, batch first; 1 shares it along an axis."),
    "axis": ("int", "axis that holds the features."),
    "epsilon": ("Positive", "small number that keeps a division from zero."),
    "momentum": ("Unit", "how slowly the moving statistics follow; 1 never."),
    "renorm_momentum": ("Unit", "how slowly the statistics of the renormalization follow."),
    "center": ("bool", "add a trained offset."),
    "scale": ("bool", "multiply by a trained factor."),
    "renorm": ("bool", "correct small batches by the moving statistics (Ioffe 2017)."),
    "keepdims": ("bool", "keep the pooled axes with length 1."),
    "return_sequences": ("bool", "put out every step instead of the last."),
    "go_backwards": ("bool", "read the sequence from its end."),
    "unroll": ("bool", "unroll the loop: faster for short sequences, more memory."),
    "unit_forget_bias": ("bool", "start the forget gate's offset at 1."),
    "reset_after": ("bool", "apply the reset gate after the matrix product."),
    "layer": ("Architecture", "the layer that is wrapped."),
    "negative_slope": ("NonNegative", "slope for negative inputs."),
    "use_gate": ("bool", "gate the output by the query."),
    "sliding_window": ("Count | None", "steps that each query sees around itself; null is all."),
    "input_dim": ("Count", "number of different tokens: the largest index plus 1."),
    "output_dim": ("Count", "size of a token's vector."),
    "mask_zero": ("bool", "token 0 is padding, which later layers skip."),
    "interpolation": ("Literal['nearest', 'bilinear', 'bicubic', 'lanczos3', 'lanczos5']", "how new pixels are made."),
}

# what a `*_initializer`, `*_regularizer`, `*_constraint` is about, where its own name does not say it
SUBJECTS = {"bias": "offset", "activity": "output", "beta": "offset", "gamma": "factor", "alpha": "slope"}

# --- layers that are no architectures ------------------------------------------------------------------------------

TEXT = "text and tables are prepared by their source, not in the model"
BEFORE_BATCH_NORM = "before BatchNormalization it makes wrong outputs in Keras 3.15; data.features.image does this"
CELL = "a cell is called with its states, not as part(x); lstm, gru and simple_rnn hold these cells"
CODE = "it holds Python, or an object of another framework"

LEFT_OUT_LAYERS: dict[str, str] = {
    "Layer": "a base class",
    "Wrapper": "a base class",
    "InputLayer": "the input is the host's",
    "InputSpec": "not a layer",
    "Lambda": CODE,
    "TFSMLayer": "it loads code from a file",
    "TorchModuleWrapper": CODE,
    "JaxLayer": CODE,
    "FlaxLayer": CODE,
    "Pipeline": "the architecture `layers` does this",
    "RNN": "it takes a cell; " + CELL,
    "LSTMCell": CELL,
    "GRUCell": CELL,
    "SimpleRNNCell": CELL,
    "StackedRNNCells": CELL,
    "ReversibleEmbedding": "its way back is an argument of the call, not of the layer",
    "CategoryEncoding": TEXT,
    "Discretization": TEXT,
    "HashedCrossing": TEXT,
    "Hashing": TEXT,
    "IntegerLookup": TEXT,
    "StringLookup": TEXT,
    "TextVectorization": TEXT,
    "MelSpectrogram": "kplug's data are pictures",
    "STFTSpectrogram": "kplug's data are pictures",
    "CenterCrop": BEFORE_BATCH_NORM,
    "Resizing": BEFORE_BATCH_NORM,
    "MaxNumBoundingBoxes": "boxes are prepared by their task",
    "RandAugment": "it draws its operations once a batch and computes every one on every picture",
    "AugMix": "it draws its operations once a batch and computes every one on every picture",
}
