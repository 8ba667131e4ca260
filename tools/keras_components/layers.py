"""The layers of Keras in the table behind tools/keras_components/write."""

from __future__ import annotations

from keras_components.table import AXES, SIZES, Entry

PADDING = ("Padding", "valid adds no border, same adds the border that keeps the size at stride 1.")
CAUSAL = ("CausalPadding", "valid adds no border, same keeps the length, causal keeps it and never looks ahead.")
POOL_STRIDES = " | None"

ATTENDING = {
    "add": {"causal": ("bool", "each position sees itself and those before it.", "False")},
    "imports": (("keras_components.self_attention", "Attending"),),
}
HEADS = {
    "num_heads": ("Count", "attention heads."),
    "key_dim": ("Count", "size of a head's queries and keys."),
    "value_dim": ("Count | None", "size of a head's values; null is key_dim."),
    "output_shape": ("Count | None", "size of the output's last axis; null is that of the query."),
    "attention_axes": ("tuple[int, ...] | None", "axes that are attended over; null is all but batch and features."),
    "head_dim": ("Count", "size of a head."),
    "num_query_heads": ("Count", "heads of the query; a multiple of num_key_value_heads."),
    "num_key_value_heads": ("Count", "heads of keys and values, each shared by a group of query heads."),
}

LAYERS: dict[str, Entry] = {
    # core
    "Activation": Entry(
        "An activation function as a layer.", types={"activation": ("ActivationName", "the function's name.")}
    ),
    "Dense": Entry("A fully connected layer: every output sees every input."),
    "EinsumDense": Entry(
        "A fully connected layer whose product is an einsum equation.",
        types={
            "equation": ("Text", "the einsum, such as ab,bc->ac: inputs, kernel, output."),
            "output_shape": (
                "Count | tuple[Count | None, ...]",
                "shape of the output without the batch; null is variable.",
            ),
            "bias_axes": ("Text | None", "letters of the output axes that get an offset, null is no offset."),
        },
    ),
    "Embedding": Entry(
        "Whole numbers to trained vectors.",
        defaults={"embeddings_initializer": "'random_uniform'"},  # Keras's 'uniform' is its short name
    ),
    "Identity": Entry("Puts out what it gets."),
    "Masking": Entry(
        "Steps that hold nothing but one value are skipped by later layers.",
        types={"mask_value": ("float", "the value that marks a step to skip.")},
    ),
    # convolution
    **{
        f"Conv{n}D": Entry(
            f"Convolution over {AXES[n]}.",
            types={"padding": CAUSAL if n == 1 else PADDING},
            rules=("stride_or_dilation", "groups_divide"),
        )
        for n in (1, 2, 3)
    },
    **{
        f"Conv{n}DTranspose": Entry(
            f"Transposed convolution over {AXES[n]}: it enlarges.",
            types={"padding": PADDING},
            rules=("stride_or_dilation",),
        )
        for n in (1, 2, 3)
    },
    **{
        f"DepthwiseConv{n}D": Entry(
            f"Convolution over {AXES[n]}, each channel by itself.",
            types={"padding": CAUSAL if n == 1 else PADDING},
            rules=("stride_or_dilation",),
        )
        for n in (1, 2)
    },
    **{
        f"SeparableConv{n}D": Entry(
            f"Convolution over {AXES[n]}, channel by channel and then across channels (Chollet 2017).",
            types={"padding": CAUSAL if n == 1 else PADDING},
            rules=("stride_or_dilation",),
        )
        for n in (1, 2)
    },
    # pooling
    **{
        f"{how}Pooling{n}D": Entry(
            f"{what} of each window over {AXES[n]}.",
            types={
                "padding": PADDING,
                "strides": (SIZES[n] + POOL_STRIDES, f"how far the window moves, in {AXES[n]}; null is pool_size."),
            },
        )
        for how, what in {"Average": "Mean", "Max": "Maximum"}.items()
        for n in (1, 2, 3)
    },
    **{
        f"Adaptive{how}Pooling{n}D": Entry(f"{what} of windows over {AXES[n]} that give an output of a chosen size.")
        for how, what in {"Average": "Mean", "Max": "Maximum"}.items()
        for n in (1, 2, 3)
    },
    **{
        f"Global{how}Pooling{n}D": Entry(f"{what} of each channel over {AXES[n]}.")
        for how, what in {"Average": "Mean", "Max": "Maximum"}.items()
        for n in (1, 2, 3)
    },
    # regularization
    "Dropout": Entry("Sets a random share of the inputs to zero in training (Srivastava et al. 2014)."),
    "AlphaDropout": Entry("Dropout that keeps mean and variance, for selu networks (Klambauer et al. 2017)."),
    "GaussianDropout": Entry(
        "Multiplies by Gaussian noise around 1 in training (Srivastava et al. 2014).",
        types={"rate": ("Fraction", "rate of the dropout whose variance the noise has.")},
    ),
    "GaussianNoise": Entry(
        "Adds Gaussian noise around 0 in training.",
        types={"stddev": ("NonNegative", "standard deviation of the noise.")},
    ),
    **{
        f"SpatialDropout{n}D": Entry(
            f"Sets whole channels over {AXES[n]} to zero in training (Tompson et al. 2015).",
            types={"rate": ("Fraction", "share of the channels that is set to zero.")},
        )
        for n in (1, 2, 3)
    },
    "ActivityRegularization": Entry(
        "Adds a penalty on its input to the loss.",
        types={
            "l1": ("NonNegative", "weight of the sum of absolute values."),
            "l2": ("NonNegative", "weight of the sum of squares."),
        },
    ),
    # normalization
    "BatchNormalization": Entry(
        "Normalizes each channel over the batch (Ioffe and Szegedy 2015).",
        types={"synchronized": ("bool", "take mean and variance over the slices of all devices, not of each alone.")},
        leave_out=("renorm_clipping",),  # fixed limits, where the paper lets them grow in the training
    ),
    "LayerNormalization": Entry(
        "Normalizes each example over its features (Ba et al. 2016).",
        types={"axis": ("int | tuple[int, ...]", "axis or axes that are normalized over.")},
    ),
    "GroupNormalization": Entry(
        "Normalizes each example over groups of channels (Wu and He 2018).",
        types={"groups": ("Groups", "groups of channels; -1 makes each channel a group.")},
    ),
    "RMSNormalization": Entry("Divides by the root mean square of the features (Zhang and Sennrich 2019)."),
    "UnitNormalization": Entry(
        "Scales each example to length 1.",
        types={"axis": ("int | tuple[int, ...]", "axis or axes that are scaled over.")},
    ),
    "SpectralNormalization": Entry(
        "Keeps the largest singular value of a layer's weights at 1 (Miyato et al. 2018).",
        types={"power_iterations": ("Count", "power iterations in each step.")},
    ),
    "Normalization": Entry(
        "Subtracts a mean and divides by a standard deviation that are given.",
        # adapt() is no part of a spec, so mean and variance are required; one per channel: the axis stays the last
        types={
            "mean": ("float | tuple[float, ...]", "mean, one for all or one for each channel."),
            "variance": ("Positive | tuple[Positive, ...]", "variance, one for all or one for each channel."),
            "invert": ("bool", "undo a normalization instead."),
        },
        defaults={"mean": "", "variance": ""},
        leave_out=("axis",),
        rules=("same_length",),
    ),
    "Rescaling": Entry(
        "Multiplies by a factor and adds an offset.",
        types={
            "scale": ("float | tuple[float, ...]", "factor, one for all or one for each channel."),
            "offset": ("float | tuple[float, ...]", "what is added afterwards, one for all or one for each channel."),
        },
    ),
    # activations
    "ReLU": Entry(
        "Rectified linear unit.",
        name="relu",  # the field's spelling; Keras's is re_lu
        types={
            "max_value": ("NonNegative | None", "largest output; null is no limit."),
            "threshold": ("NonNegative", "inputs below it are cut."),
        },
    ),
    "LeakyReLU": Entry("Rectified linear unit with a slope for negative inputs.", name="leaky_relu"),
    "PReLU": Entry(
        "Rectified linear unit with a trained slope for negative inputs (He et al. 2015).",
        name="prelu",
        types={"shared_axes": ("tuple[Count, ...] | None", "axes that share a slope; [1, 2] is one a channel.")},
        defaults={"alpha_initializer": "'zeros'"},  # Keras writes 'Zeros'
    ),
    "ELU": Entry(
        "Exponential linear unit (Clevert et al. 2016).",
        types={"alpha": ("NonNegative", "depth of the negative part.")},
    ),
    "Softmax": Entry(
        "Makes numbers along an axis positive with the sum 1.", types={"axis": ("int", "axis of the sum.")}
    ),
    # shapes
    "Flatten": Entry("All axes but the batch as one."),
    "Reshape": Entry(
        "The same numbers in another shape.",
        types={"target_shape": ("tuple[Dimension, ...]", "shape without the batch; one -1 follows from the rest.")},
    ),
    "Permute": Entry(
        "The same axes in another order.",
        types={"dims": ("tuple[Count, ...]", "the axes in their new order, without the batch, from 1.")},
    ),
    "RepeatVector": Entry("Repeats a vector as a sequence.", types={"n": ("Count", "number of steps.")}),
    **{f"Cropping{n}D": Entry(f"Cuts off borders of {AXES[n]}.") for n in (1, 2, 3)},
    **{f"ZeroPadding{n}D": Entry(f"Adds zeros around {AXES[n]}.") for n in (1, 2, 3)},
    **{f"UpSampling{n}D": Entry(f"Enlarges {AXES[n]} without training.") for n in (1, 2, 3)},
    # several inputs
    "Add": Entry("Sum of several inputs."),
    "Average": Entry("Mean of several inputs."),
    "Subtract": Entry("Difference of two inputs."),
    "Multiply": Entry("Product of several inputs, number by number."),
    "Maximum": Entry("Largest of several inputs, number by number."),
    "Minimum": Entry("Smallest of several inputs, number by number."),
    "Concatenate": Entry("Several inputs side by side.", types={"axis": ("int", "axis along which they are put.")}),
    "Dot": Entry(
        "Dot product of two inputs along an axis.",
        types={
            "axes": ("int | tuple[int, int]", "axis of both inputs, or one of each."),
            "normalize": ("bool", "scale to length 1 first: the cosine."),
        },
    ),
    # attention
    "Attention": Entry(
        "Dot-product attention (Luong et al. 2015); inputs are [query, value] or [query, value, key].",
        types={
            "use_scale": ("bool", "train a factor of the scores."),
            "score_mode": ("Literal['dot', 'concat']", "how a score is made: a product, or tanh of a sum."),
        },
    ),
    "AdditiveAttention": Entry(
        "Additive attention (Bahdanau et al. 2015); inputs are [query, value] or [query, value, key].",
        types={"use_scale": ("bool", "train factors of the scores.")},
    ),
    "MultiHeadAttention": Entry(
        "Multi-head attention (Vaswani et al. 2017); one input attends to itself, or [query, value], or with a key.",
        types=HEADS,
        body="Attending({call}, causal)",
        **ATTENDING,
    ),
    "GroupedQueryAttention": Entry(
        "Attention whose heads share keys in groups (Ainslie et al. 2023); inputs as of multi_head_attention.",
        types=HEADS,
        body="Attending({call}, causal)",
        **ATTENDING,
    ),
    # sequences
    "LSTM": Entry("Long short-term memory (Hochreiter and Schmidhuber 1997)."),
    "GRU": Entry("Gated recurrent unit (Cho et al. 2014)."),
    "SimpleRNN": Entry("Recurrent layer whose output is its next input."),
    **{
        f"ConvLSTM{n}D": Entry(
            f"LSTM whose products are convolutions over {AXES[n]} (Shi et al. 2015).",
            types={"padding": PADDING},
            rules=("stride_or_dilation",),
        )
        for n in (1, 2, 3)
    },
    "Bidirectional": Entry(
        "A recurrent layer and its mirror image that reads from the end.",
        types={
            "layer": ("Architecture", "the recurrent layer, such as lstm."),
            # null returns a list
            "merge_mode": ("Literal['sum', 'mul', 'concat', 'ave']", "how the two outputs become one."),
            "backward_layer": (
                "Architecture | None",
                "the layer that reads from the end; null is a copy of the other.",
            ),
        },
    ),
    "TimeDistributed": Entry("A layer for each step of a sequence."),
}
