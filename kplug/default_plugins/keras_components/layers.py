"""Layers of Keras: architectures that are called with features.

Written by tools/keras_components/write from Keras 3.15; do not edit.
"""

from typing import Literal

from kplug.default_plugins.keras_components.types import (
    ActivationName,
    Border1D,
    Border2D,
    Border3D,
    CausalPadding,
    ConstraintName,
    Dimension,
    Groups,
    InitializerName,
    Padding,
    Regularizer,
    Volume,
    groups_divide,
    regularizer,
    same_length,
    stride_or_dilation,
)
from kplug.kinds import Architecture, Count, Fraction, Natural, NonNegative, Positive, Size, Text, Unit, rule


def activation(activation: ActivationName) -> Architecture:
    """An activation function as a layer.

    Args:
        activation: the function's name.
    """
    import keras

    return keras.layers.Activation(activation=activation)


def activity_regularization(l1: NonNegative = 0.0, l2: NonNegative = 0.0) -> Architecture:
    """Adds a penalty on its input to the loss.

    Args:
        l1: weight of the sum of absolute values.
        l2: weight of the sum of squares.
    """
    import keras

    return keras.layers.ActivityRegularization(l1=l1, l2=l2)


def adaptive_average_pooling1d(output_size: Count) -> Architecture:
    """Mean of windows over steps that give an output of a chosen size.

    Args:
        output_size: steps of the output.
    """
    import keras

    return keras.layers.AdaptiveAveragePooling1D(output_size=output_size)


def adaptive_average_pooling2d(output_size: Count | Size) -> Architecture:
    """Mean of windows over height and width that give an output of a chosen size.

    Args:
        output_size: height and width of the output; one number for all.
    """
    import keras

    return keras.layers.AdaptiveAveragePooling2D(output_size=output_size)


def adaptive_average_pooling3d(output_size: Count | Volume) -> Architecture:
    """Mean of windows over depth, height and width that give an output of a chosen size.

    Args:
        output_size: depth, height and width of the output; one number for all.
    """
    import keras

    return keras.layers.AdaptiveAveragePooling3D(output_size=output_size)


def adaptive_max_pooling1d(output_size: Count) -> Architecture:
    """Maximum of windows over steps that give an output of a chosen size.

    Args:
        output_size: steps of the output.
    """
    import keras

    return keras.layers.AdaptiveMaxPooling1D(output_size=output_size)


def adaptive_max_pooling2d(output_size: Count | Size) -> Architecture:
    """Maximum of windows over height and width that give an output of a chosen size.

    Args:
        output_size: height and width of the output; one number for all.
    """
    import keras

    return keras.layers.AdaptiveMaxPooling2D(output_size=output_size)


def adaptive_max_pooling3d(output_size: Count | Volume) -> Architecture:
    """Maximum of windows over depth, height and width that give an output of a chosen size.

    Args:
        output_size: depth, height and width of the output; one number for all.
    """
    import keras

    return keras.layers.AdaptiveMaxPooling3D(output_size=output_size)


def add() -> Architecture:
    """Sum of several inputs."""
    import keras

    return keras.layers.Add()


def additive_attention(use_scale: bool = True, dropout: Fraction = 0.0) -> Architecture:
    """Additive attention (Bahdanau et al. 2015); inputs are [query, value] or [query, value, key].

    Args:
        use_scale: train factors of the scores.
        dropout: share that is set to zero in training.
    """
    import keras

    return keras.layers.AdditiveAttention(use_scale=use_scale, dropout=dropout)


def alpha_dropout(rate: Fraction, noise_shape: tuple[Count | None, ...] | None = None) -> Architecture:
    """Dropout that keeps mean and variance, for selu networks (Klambauer et al. 2017).

    Args:
        rate: share of the inputs that is set to zero.
        noise_shape: shape of the mask, batch first; 1 shares it along an axis.
    """
    import keras

    return keras.layers.AlphaDropout(rate=rate, noise_shape=noise_shape)


def attention(
    use_scale: bool = False, score_mode: Literal["dot", "concat"] = "dot", dropout: Fraction = 0.0
) -> Architecture:
    """Dot-product attention (Luong et al. 2015); inputs are [query, value] or [query, value, key].

    Args:
        use_scale: train a factor of the scores.
        score_mode: how a score is made: a product, or tanh of a sum.
        dropout: share that is set to zero in training.
    """
    import keras

    return keras.layers.Attention(use_scale=use_scale, score_mode=score_mode, dropout=dropout)


def average() -> Architecture:
    """Mean of several inputs."""
    import keras

    return keras.layers.Average()


def average_pooling1d(pool_size: Count, strides: Count | None = None, padding: Padding = "valid") -> Architecture:
    """Mean of each window over steps.

    Args:
        pool_size: steps of the window.
        strides: how far the window moves, in steps; null is pool_size.
        padding: valid adds no border, same adds the border that keeps the size at stride 1.
    """
    import keras

    return keras.layers.AveragePooling1D(pool_size=pool_size, strides=strides, padding=padding)


def average_pooling2d(
    pool_size: Count | Size, strides: Count | Size | None = None, padding: Padding = "valid"
) -> Architecture:
    """Mean of each window over height and width.

    Args:
        pool_size: height and width of the window; one number for all.
        strides: how far the window moves, in height and width; null is pool_size.
        padding: valid adds no border, same adds the border that keeps the size at stride 1.
    """
    import keras

    return keras.layers.AveragePooling2D(pool_size=pool_size, strides=strides, padding=padding)


def average_pooling3d(
    pool_size: Count | Volume, strides: Count | Volume | None = None, padding: Padding = "valid"
) -> Architecture:
    """Mean of each window over depth, height and width.

    Args:
        pool_size: depth, height and width of the window; one number for all.
        strides: how far the window moves, in depth, height and width; null is pool_size.
        padding: valid adds no border, same adds the border that keeps the size at stride 1.
    """
    import keras

    return keras.layers.AveragePooling3D(pool_size=pool_size, strides=strides, padding=padding)


def batch_normalization(
    axis: int = -1,
    momentum: Unit = 0.99,
    epsilon: Positive = 0.001,
    center: bool = True,
    scale: bool = True,
    beta_initializer: InitializerName = "zeros",
    gamma_initializer: InitializerName = "ones",
    moving_mean_initializer: InitializerName = "zeros",
    moving_variance_initializer: InitializerName = "ones",
    beta_regularizer: Regularizer | None = None,
    gamma_regularizer: Regularizer | None = None,
    beta_constraint: ConstraintName | None = None,
    gamma_constraint: ConstraintName | None = None,
    renorm: bool = False,
    renorm_momentum: Unit = 0.99,
    synchronized: bool = False,
) -> Architecture:
    """Normalizes each channel over the batch (Ioffe and Szegedy 2015).

    Args:
        axis: axis that holds the features.
        momentum: how slowly the moving statistics follow; 1 never.
        epsilon: small number that keeps a division from zero.
        center: add a trained offset.
        scale: multiply by a trained factor.
        beta_initializer: what the offset starts with.
        gamma_initializer: what the factor starts with.
        moving_mean_initializer: what the moving mean starts with.
        moving_variance_initializer: what the moving variance starts with.
        beta_regularizer: penalty on the offset; null is none.
        gamma_regularizer: penalty on the factor; null is none.
        beta_constraint: what the offset is kept to after each step; null is nothing.
        gamma_constraint: what the factor is kept to after each step; null is nothing.
        renorm: correct small batches by the moving statistics (Ioffe 2017).
        renorm_momentum: how slowly the statistics of the renormalization follow.
        synchronized: take mean and variance over the slices of all devices, not of each alone.
    """
    import keras

    return keras.layers.BatchNormalization(
        axis=axis,
        momentum=momentum,
        epsilon=epsilon,
        center=center,
        scale=scale,
        beta_initializer=beta_initializer,
        gamma_initializer=gamma_initializer,
        moving_mean_initializer=moving_mean_initializer,
        moving_variance_initializer=moving_variance_initializer,
        beta_regularizer=regularizer(beta_regularizer),
        gamma_regularizer=regularizer(gamma_regularizer),
        beta_constraint=beta_constraint,
        gamma_constraint=gamma_constraint,
        renorm=renorm,
        renorm_momentum=renorm_momentum,
        synchronized=synchronized,
    )


def bidirectional(
    layer: Architecture,
    merge_mode: Literal["sum", "mul", "concat", "ave"] = "concat",
    backward_layer: Architecture | None = None,
) -> Architecture:
    """A recurrent layer and its mirror image that reads from the end.

    Args:
        layer: the recurrent layer, such as lstm.
        merge_mode: how the two outputs become one.
        backward_layer: the layer that reads from the end; null is a copy of the other.
    """
    import keras

    return keras.layers.Bidirectional(layer=layer, merge_mode=merge_mode, backward_layer=backward_layer)


def concatenate(axis: int = -1) -> Architecture:
    """Several inputs side by side.

    Args:
        axis: axis along which they are put.
    """
    import keras

    return keras.layers.Concatenate(axis=axis)


@rule(stride_or_dilation)
@rule(groups_divide)
def conv1d(
    filters: Count,
    kernel_size: Count,
    strides: Count = 1,
    padding: CausalPadding = "valid",
    dilation_rate: Count = 1,
    groups: Count = 1,
    activation: ActivationName | None = None,
    use_bias: bool = True,
    kernel_initializer: InitializerName = "glorot_uniform",
    bias_initializer: InitializerName = "zeros",
    kernel_regularizer: Regularizer | None = None,
    bias_regularizer: Regularizer | None = None,
    activity_regularizer: Regularizer | None = None,
    kernel_constraint: ConstraintName | None = None,
    bias_constraint: ConstraintName | None = None,
) -> Architecture:
    """Convolution over steps.

    Args:
        filters: channels of the output.
        kernel_size: steps of the kernel.
        strides: how far the window moves, in steps.
        padding: valid adds no border, same keeps the length, causal keeps it and never looks ahead.
        dilation_rate: distance of the kernel's points, in steps; 1 is plain.
        groups: groups that the channels are split into, each with kernels of its own.
        activation: function of the output; null is none.
        use_bias: add a trained offset.
        kernel_initializer: what the kernel starts with.
        bias_initializer: what the offset starts with.
        kernel_regularizer: penalty on the kernel; null is none.
        bias_regularizer: penalty on the offset; null is none.
        activity_regularizer: penalty on the output; null is none.
        kernel_constraint: what the kernel is kept to after each step; null is nothing.
        bias_constraint: what the offset is kept to after each step; null is nothing.
    """
    import keras

    return keras.layers.Conv1D(
        filters=filters,
        kernel_size=kernel_size,
        strides=strides,
        padding=padding,
        dilation_rate=dilation_rate,
        groups=groups,
        activation=activation,
        use_bias=use_bias,
        kernel_initializer=kernel_initializer,
        bias_initializer=bias_initializer,
        kernel_regularizer=regularizer(kernel_regularizer),
        bias_regularizer=regularizer(bias_regularizer),
        activity_regularizer=regularizer(activity_regularizer),
        kernel_constraint=kernel_constraint,
        bias_constraint=bias_constraint,
    )


@rule(stride_or_dilation)
def conv1d_transpose(
    filters: Count,
    kernel_size: Count,
    strides: Count = 1,
    padding: Padding = "valid",
    output_padding: Natural | None = None,
    dilation_rate: Count = 1,
    activation: ActivationName | None = None,
    use_bias: bool = True,
    kernel_initializer: InitializerName = "glorot_uniform",
    bias_initializer: InitializerName = "zeros",
    kernel_regularizer: Regularizer | None = None,
    bias_regularizer: Regularizer | None = None,
    activity_regularizer: Regularizer | None = None,
    kernel_constraint: ConstraintName | None = None,
    bias_constraint: ConstraintName | None = None,
) -> Architecture:
    """Transposed convolution over steps: it enlarges.

    Args:
        filters: channels of the output.
        kernel_size: steps of the kernel.
        strides: how far the window moves, in steps.
        padding: valid adds no border, same adds the border that keeps the size at stride 1.
        output_padding: what is added to the output's steps; null follows from padding.
        dilation_rate: distance of the kernel's points, in steps; 1 is plain.
        activation: function of the output; null is none.
        use_bias: add a trained offset.
        kernel_initializer: what the kernel starts with.
        bias_initializer: what the offset starts with.
        kernel_regularizer: penalty on the kernel; null is none.
        bias_regularizer: penalty on the offset; null is none.
        activity_regularizer: penalty on the output; null is none.
        kernel_constraint: what the kernel is kept to after each step; null is nothing.
        bias_constraint: what the offset is kept to after each step; null is nothing.
    """
    import keras

    return keras.layers.Conv1DTranspose(
        filters=filters,
        kernel_size=kernel_size,
        strides=strides,
        padding=padding,
        output_padding=output_padding,
        dilation_rate=dilation_rate,
        activation=activation,
        use_bias=use_bias,
        kernel_initializer=kernel_initializer,
        bias_initializer=bias_initializer,
        kernel_regularizer=regularizer(kernel_regularizer),
        bias_regularizer=regularizer(bias_regularizer),
        activity_regularizer=regularizer(activity_regularizer),
        kernel_constraint=kernel_constraint,
        bias_constraint=bias_constraint,
    )


@rule(stride_or_dilation)
@rule(groups_divide)
def conv2d(
    filters: Count,
    kernel_size: Count | Size,
    strides: Count | Size = (1, 1),
    padding: Padding = "valid",
    dilation_rate: Count | Size = (1, 1),
    groups: Count = 1,
    activation: ActivationName | None = None,
    use_bias: bool = True,
    kernel_initializer: InitializerName = "glorot_uniform",
    bias_initializer: InitializerName = "zeros",
    kernel_regularizer: Regularizer | None = None,
    bias_regularizer: Regularizer | None = None,
    activity_regularizer: Regularizer | None = None,
    kernel_constraint: ConstraintName | None = None,
    bias_constraint: ConstraintName | None = None,
) -> Architecture:
    """Convolution over height and width.

    Args:
        filters: channels of the output.
        kernel_size: height and width of the kernel; one number for all.
        strides: how far the window moves, in height and width; one number for all.
        padding: valid adds no border, same adds the border that keeps the size at stride 1.
        dilation_rate: distance of the kernel's points, in height and width; one number for all; 1 is plain.
        groups: groups that the channels are split into, each with kernels of its own.
        activation: function of the output; null is none.
        use_bias: add a trained offset.
        kernel_initializer: what the kernel starts with.
        bias_initializer: what the offset starts with.
        kernel_regularizer: penalty on the kernel; null is none.
        bias_regularizer: penalty on the offset; null is none.
        activity_regularizer: penalty on the output; null is none.
        kernel_constraint: what the kernel is kept to after each step; null is nothing.
        bias_constraint: what the offset is kept to after each step; null is nothing.
    """
    import keras

    return keras.layers.Conv2D(
        filters=filters,
        kernel_size=kernel_size,
        strides=strides,
        padding=padding,
        dilation_rate=dilation_rate,
        groups=groups,
        activation=activation,
        use_bias=use_bias,
        kernel_initializer=kernel_initializer,
        bias_initializer=bias_initializer,
        kernel_regularizer=regularizer(kernel_regularizer),
        bias_regularizer=regularizer(bias_regularizer),
        activity_regularizer=regularizer(activity_regularizer),
        kernel_constraint=kernel_constraint,
        bias_constraint=bias_constraint,
    )


@rule(stride_or_dilation)
def conv2d_transpose(
    filters: Count,
    kernel_size: Count | Size,
    strides: Count | Size = (1, 1),
    padding: Padding = "valid",
    output_padding: Natural | tuple[Natural, Natural] | None = None,
    dilation_rate: Count | Size = (1, 1),
    activation: ActivationName | None = None,
    use_bias: bool = True,
    kernel_initializer: InitializerName = "glorot_uniform",
    bias_initializer: InitializerName = "zeros",
    kernel_regularizer: Regularizer | None = None,
    bias_regularizer: Regularizer | None = None,
    activity_regularizer: Regularizer | None = None,
    kernel_constraint: ConstraintName | None = None,
    bias_constraint: ConstraintName | None = None,
) -> Architecture:
    """Transposed convolution over height and width: it enlarges.

    Args:
        filters: channels of the output.
        kernel_size: height and width of the kernel; one number for all.
        strides: how far the window moves, in height and width; one number for all.
        padding: valid adds no border, same adds the border that keeps the size at stride 1.
        output_padding: what is added to the output's height and width; null follows from padding.
        dilation_rate: distance of the kernel's points, in height and width; one number for all; 1 is plain.
        activation: function of the output; null is none.
        use_bias: add a trained offset.
        kernel_initializer: what the kernel starts with.
        bias_initializer: what the offset starts with.
        kernel_regularizer: penalty on the kernel; null is none.
        bias_regularizer: penalty on the offset; null is none.
        activity_regularizer: penalty on the output; null is none.
        kernel_constraint: what the kernel is kept to after each step; null is nothing.
        bias_constraint: what the offset is kept to after each step; null is nothing.
    """
    import keras

    return keras.layers.Conv2DTranspose(
        filters=filters,
        kernel_size=kernel_size,
        strides=strides,
        padding=padding,
        output_padding=output_padding,
        dilation_rate=dilation_rate,
        activation=activation,
        use_bias=use_bias,
        kernel_initializer=kernel_initializer,
        bias_initializer=bias_initializer,
        kernel_regularizer=regularizer(kernel_regularizer),
        bias_regularizer=regularizer(bias_regularizer),
        activity_regularizer=regularizer(activity_regularizer),
        kernel_constraint=kernel_constraint,
        bias_constraint=bias_constraint,
    )


@rule(stride_or_dilation)
@rule(groups_divide)
def conv3d(
    filters: Count,
    kernel_size: Count | Volume,
    strides: Count | Volume = (1, 1, 1),
    padding: Padding = "valid",
    dilation_rate: Count | Volume = (1, 1, 1),
    groups: Count = 1,
    activation: ActivationName | None = None,
    use_bias: bool = True,
    kernel_initializer: InitializerName = "glorot_uniform",
    bias_initializer: InitializerName = "zeros",
    kernel_regularizer: Regularizer | None = None,
    bias_regularizer: Regularizer | None = None,
    activity_regularizer: Regularizer | None = None,
    kernel_constraint: ConstraintName | None = None,
    bias_constraint: ConstraintName | None = None,
) -> Architecture:
    """Convolution over depth, height and width.

    Args:
        filters: channels of the output.
        kernel_size: depth, height and width of the kernel; one number for all.
        strides: how far the window moves, in depth, height and width; one number for all.
        padding: valid adds no border, same adds the border that keeps the size at stride 1.
        dilation_rate: distance of the kernel's points, in depth, height and width; one number for all; 1 is plain.
        groups: groups that the channels are split into, each with kernels of its own.
        activation: function of the output; null is none.
        use_bias: add a trained offset.
        kernel_initializer: what the kernel starts with.
        bias_initializer: what the offset starts with.
        kernel_regularizer: penalty on the kernel; null is none.
        bias_regularizer: penalty on the offset; null is none.
        activity_regularizer: penalty on the output; null is none.
        kernel_constraint: what the kernel is kept to after each step; null is nothing.
        bias_constraint: what the offset is kept to after each step; null is nothing.
    """
    import keras

    return keras.layers.Conv3D(
        filters=filters,
        kernel_size=kernel_size,
        strides=strides,
        padding=padding,
        dilation_rate=dilation_rate,
        groups=groups,
        activation=activation,
        use_bias=use_bias,
        kernel_initializer=kernel_initializer,
        bias_initializer=bias_initializer,
        kernel_regularizer=regularizer(kernel_regularizer),
        bias_regularizer=regularizer(bias_regularizer),
        activity_regularizer=regularizer(activity_regularizer),
        kernel_constraint=kernel_constraint,
        bias_constraint=bias_constraint,
    )


@rule(stride_or_dilation)
def conv3d_transpose(
    filters: Count,
    kernel_size: Count | Volume,
    strides: Count | Volume = (1, 1, 1),
    padding: Padding = "valid",
    output_padding: Natural | tuple[Natural, Natural, Natural] | None = None,
    dilation_rate: Count | Volume = (1, 1, 1),
    activation: ActivationName | None = None,
    use_bias: bool = True,
    kernel_initializer: InitializerName = "glorot_uniform",
    bias_initializer: InitializerName = "zeros",
    kernel_regularizer: Regularizer | None = None,
    bias_regularizer: Regularizer | None = None,
    activity_regularizer: Regularizer | None = None,
    kernel_constraint: ConstraintName | None = None,
    bias_constraint: ConstraintName | None = None,
) -> Architecture:
    """Transposed convolution over depth, height and width: it enlarges.

    Args:
        filters: channels of the output.
        kernel_size: depth, height and width of the kernel; one number for all.
        strides: how far the window moves, in depth, height and width; one number for all.
        padding: valid adds no border, same adds the border that keeps the size at stride 1.
        output_padding: what is added to the output's depth, height and width; null follows from padding.
        dilation_rate: distance of the kernel's points, in depth, height and width; one number for all; 1 is plain.
        activation: function of the output; null is none.
        use_bias: add a trained offset.
        kernel_initializer: what the kernel starts with.
        bias_initializer: what the offset starts with.
        kernel_regularizer: penalty on the kernel; null is none.
        bias_regularizer: penalty on the offset; null is none.
        activity_regularizer: penalty on the output; null is none.
        kernel_constraint: what the kernel is kept to after each step; null is nothing.
        bias_constraint: what the offset is kept to after each step; null is nothing.
    """
    import keras

    return keras.layers.Conv3DTranspose(
        filters=filters,
        kernel_size=kernel_size,
        strides=strides,
        padding=padding,
        output_padding=output_padding,
        dilation_rate=dilation_rate,
        activation=activation,
        use_bias=use_bias,
        kernel_initializer=kernel_initializer,
        bias_initializer=bias_initializer,
        kernel_regularizer=regularizer(kernel_regularizer),
        bias_regularizer=regularizer(bias_regularizer),
        activity_regularizer=regularizer(activity_regularizer),
        kernel_constraint=kernel_constraint,
        bias_constraint=bias_constraint,
    )


@rule(stride_or_dilation)
def conv_lstm1d(
    filters: Count,
    kernel_size: Count,
    strides: Count = 1,
    padding: Padding = "valid",
    dilation_rate: Count = 1,
    activation: ActivationName | None = "tanh",
    recurrent_activation: ActivationName | None = "sigmoid",
    use_bias: bool = True,
    kernel_initializer: InitializerName = "glorot_uniform",
    recurrent_initializer: InitializerName = "orthogonal",
    bias_initializer: InitializerName = "zeros",
    unit_forget_bias: bool = True,
    kernel_regularizer: Regularizer | None = None,
    recurrent_regularizer: Regularizer | None = None,
    bias_regularizer: Regularizer | None = None,
    activity_regularizer: Regularizer | None = None,
    kernel_constraint: ConstraintName | None = None,
    recurrent_constraint: ConstraintName | None = None,
    bias_constraint: ConstraintName | None = None,
    dropout: Fraction = 0.0,
    recurrent_dropout: Fraction = 0.0,
    return_sequences: bool = False,
    go_backwards: bool = False,
) -> Architecture:
    """LSTM whose products are convolutions over steps (Shi et al. 2015).

    Args:
        filters: channels of the output.
        kernel_size: steps of the kernel.
        strides: how far the window moves, in steps.
        padding: valid adds no border, same adds the border that keeps the size at stride 1.
        dilation_rate: distance of the kernel's points, in steps; 1 is plain.
        activation: function of the output; null is none.
        recurrent_activation: function of the gates.
        use_bias: add a trained offset.
        kernel_initializer: what the kernel starts with.
        recurrent_initializer: what the recurrent starts with.
        bias_initializer: what the offset starts with.
        unit_forget_bias: start the forget gate's offset at 1.
        kernel_regularizer: penalty on the kernel; null is none.
        recurrent_regularizer: penalty on the recurrent; null is none.
        bias_regularizer: penalty on the offset; null is none.
        activity_regularizer: penalty on the output; null is none.
        kernel_constraint: what the kernel is kept to after each step; null is nothing.
        recurrent_constraint: what the recurrent is kept to after each step; null is nothing.
        bias_constraint: what the offset is kept to after each step; null is nothing.
        dropout: share that is set to zero in training.
        recurrent_dropout: share of the state that is set to zero in training.
        return_sequences: put out every step instead of the last.
        go_backwards: read the sequence from its end.
    """
    import keras

    return keras.layers.ConvLSTM1D(
        filters=filters,
        kernel_size=kernel_size,
        strides=strides,
        padding=padding,
        dilation_rate=dilation_rate,
        activation=activation,
        recurrent_activation=recurrent_activation,
        use_bias=use_bias,
        kernel_initializer=kernel_initializer,
        recurrent_initializer=recurrent_initializer,
        bias_initializer=bias_initializer,
        unit_forget_bias=unit_forget_bias,
        kernel_regularizer=regularizer(kernel_regularizer),
        recurrent_regularizer=regularizer(recurrent_regularizer),
        bias_regularizer=regularizer(bias_regularizer),
        activity_regularizer=regularizer(activity_regularizer),
        kernel_constraint=kernel_constraint,
        recurrent_constraint=recurrent_constraint,
        bias_constraint=bias_constraint,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        return_sequences=return_sequences,
        go_backwards=go_backwards,
    )


@rule(stride_or_dilation)
def conv_lstm2d(
    filters: Count,
    kernel_size: Count | Size,
    strides: Count | Size = 1,
    padding: Padding = "valid",
    dilation_rate: Count | Size = 1,
    activation: ActivationName | None = "tanh",
    recurrent_activation: ActivationName | None = "sigmoid",
    use_bias: bool = True,
    kernel_initializer: InitializerName = "glorot_uniform",
    recurrent_initializer: InitializerName = "orthogonal",
    bias_initializer: InitializerName = "zeros",
    unit_forget_bias: bool = True,
    kernel_regularizer: Regularizer | None = None,
    recurrent_regularizer: Regularizer | None = None,
    bias_regularizer: Regularizer | None = None,
    activity_regularizer: Regularizer | None = None,
    kernel_constraint: ConstraintName | None = None,
    recurrent_constraint: ConstraintName | None = None,
    bias_constraint: ConstraintName | None = None,
    dropout: Fraction = 0.0,
    recurrent_dropout: Fraction = 0.0,
    return_sequences: bool = False,
    go_backwards: bool = False,
) -> Architecture:
    """LSTM whose products are convolutions over height and width (Shi et al. 2015).

    Args:
        filters: channels of the output.
        kernel_size: height and width of the kernel; one number for all.
        strides: how far the window moves, in height and width; one number for all.
        padding: valid adds no border, same adds the border that keeps the size at stride 1.
        dilation_rate: distance of the kernel's points, in height and width; one number for all; 1 is plain.
        activation: function of the output; null is none.
        recurrent_activation: function of the gates.
        use_bias: add a trained offset.
        kernel_initializer: what the kernel starts with.
        recurrent_initializer: what the recurrent starts with.
        bias_initializer: what the offset starts with.
        unit_forget_bias: start the forget gate's offset at 1.
        kernel_regularizer: penalty on the kernel; null is none.
        recurrent_regularizer: penalty on the recurrent; null is none.
        bias_regularizer: penalty on the offset; null is none.
        activity_regularizer: penalty on the output; null is none.
        kernel_constraint: what the kernel is kept to after each step; null is nothing.
        recurrent_constraint: what the recurrent is kept to after each step; null is nothing.
        bias_constraint: what the offset is kept to after each step; null is nothing.
        dropout: share that is set to zero in training.
        recurrent_dropout: share of the state that is set to zero in training.
        return_sequences: put out every step instead of the last.
        go_backwards: read the sequence from its end.
    """
    import keras

    return keras.layers.ConvLSTM2D(
        filters=filters,
        kernel_size=kernel_size,
        strides=strides,
        padding=padding,
        dilation_rate=dilation_rate,
        activation=activation,
        recurrent_activation=recurrent_activation,
        use_bias=use_bias,
        kernel_initializer=kernel_initializer,
        recurrent_initializer=recurrent_initializer,
        bias_initializer=bias_initializer,
        unit_forget_bias=unit_forget_bias,
        kernel_regularizer=regularizer(kernel_regularizer),
        recurrent_regularizer=regularizer(recurrent_regularizer),
        bias_regularizer=regularizer(bias_regularizer),
        activity_regularizer=regularizer(activity_regularizer),
        kernel_constraint=kernel_constraint,
        recurrent_constraint=recurrent_constraint,
        bias_constraint=bias_constraint,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        return_sequences=return_sequences,
        go_backwards=go_backwards,
    )


@rule(stride_or_dilation)
def conv_lstm3d(
    filters: Count,
    kernel_size: Count | Volume,
    strides: Count | Volume = 1,
    padding: Padding = "valid",
    dilation_rate: Count | Volume = 1,
    activation: ActivationName | None = "tanh",
    recurrent_activation: ActivationName | None = "sigmoid",
    use_bias: bool = True,
    kernel_initializer: InitializerName = "glorot_uniform",
    recurrent_initializer: InitializerName = "orthogonal",
    bias_initializer: InitializerName = "zeros",
    unit_forget_bias: bool = True,
    kernel_regularizer: Regularizer | None = None,
    recurrent_regularizer: Regularizer | None = None,
    bias_regularizer: Regularizer | None = None,
    activity_regularizer: Regularizer | None = None,
    kernel_constraint: ConstraintName | None = None,
    recurrent_constraint: ConstraintName | None = None,
    bias_constraint: ConstraintName | None = None,
    dropout: Fraction = 0.0,
    recurrent_dropout: Fraction = 0.0,
    return_sequences: bool = False,
    go_backwards: bool = False,
) -> Architecture:
    """LSTM whose products are convolutions over depth, height and width (Shi et al. 2015).

    Args:
        filters: channels of the output.
        kernel_size: depth, height and width of the kernel; one number for all.
        strides: how far the window moves, in depth, height and width; one number for all.
        padding: valid adds no border, same adds the border that keeps the size at stride 1.
        dilation_rate: distance of the kernel's points, in depth, height and width; one number for all; 1 is plain.
        activation: function of the output; null is none.
        recurrent_activation: function of the gates.
        use_bias: add a trained offset.
        kernel_initializer: what the kernel starts with.
        recurrent_initializer: what the recurrent starts with.
        bias_initializer: what the offset starts with.
        unit_forget_bias: start the forget gate's offset at 1.
        kernel_regularizer: penalty on the kernel; null is none.
        recurrent_regularizer: penalty on the recurrent; null is none.
        bias_regularizer: penalty on the offset; null is none.
        activity_regularizer: penalty on the output; null is none.
        kernel_constraint: what the kernel is kept to after each step; null is nothing.
        recurrent_constraint: what the recurrent is kept to after each step; null is nothing.
        bias_constraint: what the offset is kept to after each step; null is nothing.
        dropout: share that is set to zero in training.
        recurrent_dropout: share of the state that is set to zero in training.
        return_sequences: put out every step instead of the last.
        go_backwards: read the sequence from its end.
    """
    import keras

    return keras.layers.ConvLSTM3D(
        filters=filters,
        kernel_size=kernel_size,
        strides=strides,
        padding=padding,
        dilation_rate=dilation_rate,
        activation=activation,
        recurrent_activation=recurrent_activation,
        use_bias=use_bias,
        kernel_initializer=kernel_initializer,
        recurrent_initializer=recurrent_initializer,
        bias_initializer=bias_initializer,
        unit_forget_bias=unit_forget_bias,
        kernel_regularizer=regularizer(kernel_regularizer),
        recurrent_regularizer=regularizer(recurrent_regularizer),
        bias_regularizer=regularizer(bias_regularizer),
        activity_regularizer=regularizer(activity_regularizer),
        kernel_constraint=kernel_constraint,
        recurrent_constraint=recurrent_constraint,
        bias_constraint=bias_constraint,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        return_sequences=return_sequences,
        go_backwards=go_backwards,
    )


def cropping1d(cropping: Border1D = (1, 1)) -> Architecture:
    """Cuts off borders of steps.

    Args:
        cropping: what is cut off: a number for both ends, or [before, after].
    """
    import keras

    return keras.layers.Cropping1D(cropping=cropping)


def cropping2d(cropping: Border2D = ((0, 0), (0, 0))) -> Architecture:
    """Cuts off borders of height and width.

    Args:
        cropping: what is cut off: a number for all sides, [height, width], or [[top, bottom], [left, right]].
    """
    import keras

    return keras.layers.Cropping2D(cropping=cropping)


def cropping3d(cropping: Border3D = ((1, 1), (1, 1), (1, 1))) -> Architecture:
    """Cuts off borders of depth, height and width.

    Args:
        cropping: what is cut off: one number, [depth, height, width], or a pair [before, after] for each.
    """
    import keras

    return keras.layers.Cropping3D(cropping=cropping)


def dense(
    units: Count,
    activation: ActivationName | None = None,
    use_bias: bool = True,
    kernel_initializer: InitializerName = "glorot_uniform",
    bias_initializer: InitializerName = "zeros",
    kernel_regularizer: Regularizer | None = None,
    bias_regularizer: Regularizer | None = None,
    activity_regularizer: Regularizer | None = None,
    kernel_constraint: ConstraintName | None = None,
    bias_constraint: ConstraintName | None = None,
) -> Architecture:
    """A fully connected layer: every output sees every input.

    Args:
        units: size of the output's last axis.
        activation: function of the output; null is none.
        use_bias: add a trained offset.
        kernel_initializer: what the kernel starts with.
        bias_initializer: what the offset starts with.
        kernel_regularizer: penalty on the kernel; null is none.
        bias_regularizer: penalty on the offset; null is none.
        activity_regularizer: penalty on the output; null is none.
        kernel_constraint: what the kernel is kept to after each step; null is nothing.
        bias_constraint: what the offset is kept to after each step; null is nothing.
    """
    import keras

    return keras.layers.Dense(
        units=units,
        activation=activation,
        use_bias=use_bias,
        kernel_initializer=kernel_initializer,
        bias_initializer=bias_initializer,
        kernel_regularizer=regularizer(kernel_regularizer),
        bias_regularizer=regularizer(bias_regularizer),
        activity_regularizer=regularizer(activity_regularizer),
        kernel_constraint=kernel_constraint,
        bias_constraint=bias_constraint,
    )


@rule(stride_or_dilation)
def depthwise_conv1d(
    kernel_size: Count,
    strides: Count = 1,
    padding: CausalPadding = "valid",
    depth_multiplier: Count = 1,
    dilation_rate: Count = 1,
    activation: ActivationName | None = None,
    use_bias: bool = True,
    depthwise_initializer: InitializerName = "glorot_uniform",
    bias_initializer: InitializerName = "zeros",
    depthwise_regularizer: Regularizer | None = None,
    bias_regularizer: Regularizer | None = None,
    activity_regularizer: Regularizer | None = None,
    depthwise_constraint: ConstraintName | None = None,
    bias_constraint: ConstraintName | None = None,
) -> Architecture:
    """Convolution over steps, each channel by itself.

    Args:
        kernel_size: steps of the kernel.
        strides: how far the window moves, in steps.
        padding: valid adds no border, same keeps the length, causal keeps it and never looks ahead.
        depth_multiplier: output channels of the depthwise step for each input channel.
        dilation_rate: distance of the kernel's points, in steps; 1 is plain.
        activation: function of the output; null is none.
        use_bias: add a trained offset.
        depthwise_initializer: what the depthwise starts with.
        bias_initializer: what the offset starts with.
        depthwise_regularizer: penalty on the depthwise; null is none.
        bias_regularizer: penalty on the offset; null is none.
        activity_regularizer: penalty on the output; null is none.
        depthwise_constraint: what the depthwise is kept to after each step; null is nothing.
        bias_constraint: what the offset is kept to after each step; null is nothing.
    """
    import keras

    return keras.layers.DepthwiseConv1D(
        kernel_size=kernel_size,
        strides=strides,
        padding=padding,
        depth_multiplier=depth_multiplier,
        dilation_rate=dilation_rate,
        activation=activation,
        use_bias=use_bias,
        depthwise_initializer=depthwise_initializer,
        bias_initializer=bias_initializer,
        depthwise_regularizer=regularizer(depthwise_regularizer),
        bias_regularizer=regularizer(bias_regularizer),
        activity_regularizer=regularizer(activity_regularizer),
        depthwise_constraint=depthwise_constraint,
        bias_constraint=bias_constraint,
    )


@rule(stride_or_dilation)
def depthwise_conv2d(
    kernel_size: Count | Size,
    strides: Count | Size = (1, 1),
    padding: Padding = "valid",
    depth_multiplier: Count = 1,
    dilation_rate: Count | Size = (1, 1),
    activation: ActivationName | None = None,
    use_bias: bool = True,
    depthwise_initializer: InitializerName = "glorot_uniform",
    bias_initializer: InitializerName = "zeros",
    depthwise_regularizer: Regularizer | None = None,
    bias_regularizer: Regularizer | None = None,
    activity_regularizer: Regularizer | None = None,
    depthwise_constraint: ConstraintName | None = None,
    bias_constraint: ConstraintName | None = None,
) -> Architecture:
    """Convolution over height and width, each channel by itself.

    Args:
        kernel_size: height and width of the kernel; one number for all.
        strides: how far the window moves, in height and width; one number for all.
        padding: valid adds no border, same adds the border that keeps the size at stride 1.
        depth_multiplier: output channels of the depthwise step for each input channel.
        dilation_rate: distance of the kernel's points, in height and width; one number for all; 1 is plain.
        activation: function of the output; null is none.
        use_bias: add a trained offset.
        depthwise_initializer: what the depthwise starts with.
        bias_initializer: what the offset starts with.
        depthwise_regularizer: penalty on the depthwise; null is none.
        bias_regularizer: penalty on the offset; null is none.
        activity_regularizer: penalty on the output; null is none.
        depthwise_constraint: what the depthwise is kept to after each step; null is nothing.
        bias_constraint: what the offset is kept to after each step; null is nothing.
    """
    import keras

    return keras.layers.DepthwiseConv2D(
        kernel_size=kernel_size,
        strides=strides,
        padding=padding,
        depth_multiplier=depth_multiplier,
        dilation_rate=dilation_rate,
        activation=activation,
        use_bias=use_bias,
        depthwise_initializer=depthwise_initializer,
        bias_initializer=bias_initializer,
        depthwise_regularizer=regularizer(depthwise_regularizer),
        bias_regularizer=regularizer(bias_regularizer),
        activity_regularizer=regularizer(activity_regularizer),
        depthwise_constraint=depthwise_constraint,
        bias_constraint=bias_constraint,
    )


def dot(axes: int | tuple[int, int], normalize: bool = False) -> Architecture:
    """Dot product of two inputs along an axis.

    Args:
        axes: axis of both inputs, or one of each.
        normalize: scale to length 1 first: the cosine.
    """
    import keras

    return keras.layers.Dot(axes=axes, normalize=normalize)


def dropout(rate: Fraction, noise_shape: tuple[Count | None, ...] | None = None) -> Architecture:
    """Sets a random share of the inputs to zero in training (Srivastava et al. 2014).

    Args:
        rate: share of the inputs that is set to zero.
        noise_shape: shape of the mask, batch first; 1 shares it along an axis.
    """
    import keras

    return keras.layers.Dropout(rate=rate, noise_shape=noise_shape)


def einsum_dense(
    equation: Text,
    output_shape: Count | tuple[Count | None, ...],
    activation: ActivationName | None = None,
    bias_axes: Text | None = None,
    kernel_initializer: InitializerName = "glorot_uniform",
    bias_initializer: InitializerName = "zeros",
    kernel_regularizer: Regularizer | None = None,
    bias_regularizer: Regularizer | None = None,
    kernel_constraint: ConstraintName | None = None,
    bias_constraint: ConstraintName | None = None,
) -> Architecture:
    """A fully connected layer whose product is an einsum equation.

    Args:
        equation: the einsum, such as ab,bc->ac: inputs, kernel, output.
        output_shape: shape of the output without the batch; null is variable.
        activation: function of the output; null is none.
        bias_axes: letters of the output axes that get an offset, null is no offset.
        kernel_initializer: what the kernel starts with.
        bias_initializer: what the offset starts with.
        kernel_regularizer: penalty on the kernel; null is none.
        bias_regularizer: penalty on the offset; null is none.
        kernel_constraint: what the kernel is kept to after each step; null is nothing.
        bias_constraint: what the offset is kept to after each step; null is nothing.
    """
    import keras

    return keras.layers.EinsumDense(
        equation=equation,
        output_shape=output_shape,
        activation=activation,
        bias_axes=bias_axes,
        kernel_initializer=kernel_initializer,
        bias_initializer=bias_initializer,
        kernel_regularizer=regularizer(kernel_regularizer),
        bias_regularizer=regularizer(bias_regularizer),
        kernel_constraint=kernel_constraint,
        bias_constraint=bias_constraint,
    )


def elu(alpha: NonNegative = 1.0) -> Architecture:
    """Exponential linear unit (Clevert et al. 2016).

    Args:
        alpha: depth of the negative part.
    """
    import keras

    return keras.layers.ELU(alpha=alpha)


def embedding(
    input_dim: Count,
    output_dim: Count,
    embeddings_initializer: InitializerName = "random_uniform",
    embeddings_regularizer: Regularizer | None = None,
    embeddings_constraint: ConstraintName | None = None,
    mask_zero: bool = False,
) -> Architecture:
    """Whole numbers to trained vectors.

    Args:
        input_dim: number of different tokens: the largest index plus 1.
        output_dim: size of a token's vector.
        embeddings_initializer: what the embeddings starts with.
        embeddings_regularizer: penalty on the embeddings; null is none.
        embeddings_constraint: what the embeddings is kept to after each step; null is nothing.
        mask_zero: token 0 is padding, which later layers skip.
    """
    import keras

    return keras.layers.Embedding(
        input_dim=input_dim,
        output_dim=output_dim,
        embeddings_initializer=embeddings_initializer,
        embeddings_regularizer=regularizer(embeddings_regularizer),
        embeddings_constraint=embeddings_constraint,
        mask_zero=mask_zero,
    )


def flatten() -> Architecture:
    """All axes but the batch as one."""
    import keras

    return keras.layers.Flatten()


def gaussian_dropout(rate: Fraction) -> Architecture:
    """Multiplies by Gaussian noise around 1 in training (Srivastava et al. 2014).

    Args:
        rate: rate of the dropout whose variance the noise has.
    """
    import keras

    return keras.layers.GaussianDropout(rate=rate)


def gaussian_noise(stddev: NonNegative) -> Architecture:
    """Adds Gaussian noise around 0 in training.

    Args:
        stddev: standard deviation of the noise.
    """
    import keras

    return keras.layers.GaussianNoise(stddev=stddev)


def global_average_pooling1d(keepdims: bool = False) -> Architecture:
    """Mean of each channel over steps.

    Args:
        keepdims: keep the pooled axes with length 1.
    """
    import keras

    return keras.layers.GlobalAveragePooling1D(keepdims=keepdims)


def global_average_pooling2d(keepdims: bool = False) -> Architecture:
    """Mean of each channel over height and width.

    Args:
        keepdims: keep the pooled axes with length 1.
    """
    import keras

    return keras.layers.GlobalAveragePooling2D(keepdims=keepdims)


def global_average_pooling3d(keepdims: bool = False) -> Architecture:
    """Mean of each channel over depth, height and width.

    Args:
        keepdims: keep the pooled axes with length 1.
    """
    import keras

    return keras.layers.GlobalAveragePooling3D(keepdims=keepdims)


def global_max_pooling1d(keepdims: bool = False) -> Architecture:
    """Maximum of each channel over steps.

    Args:
        keepdims: keep the pooled axes with length 1.
    """
    import keras

    return keras.layers.GlobalMaxPooling1D(keepdims=keepdims)


def global_max_pooling2d(keepdims: bool = False) -> Architecture:
    """Maximum of each channel over height and width.

    Args:
        keepdims: keep the pooled axes with length 1.
    """
    import keras

    return keras.layers.GlobalMaxPooling2D(keepdims=keepdims)


def global_max_pooling3d(keepdims: bool = False) -> Architecture:
    """Maximum of each channel over depth, height and width.

    Args:
        keepdims: keep the pooled axes with length 1.
    """
    import keras

    return keras.layers.GlobalMaxPooling3D(keepdims=keepdims)


def group_normalization(
    groups: Groups = 32,
    axis: int = -1,
    epsilon: Positive = 0.001,
    center: bool = True,
    scale: bool = True,
    beta_initializer: InitializerName = "zeros",
    gamma_initializer: InitializerName = "ones",
    beta_regularizer: Regularizer | None = None,
    gamma_regularizer: Regularizer | None = None,
    beta_constraint: ConstraintName | None = None,
    gamma_constraint: ConstraintName | None = None,
) -> Architecture:
    """Normalizes each example over groups of channels (Wu and He 2018).

    Args:
        groups: groups of channels; -1 makes each channel a group.
        axis: axis that holds the features.
        epsilon: small number that keeps a division from zero.
        center: add a trained offset.
        scale: multiply by a trained factor.
        beta_initializer: what the offset starts with.
        gamma_initializer: what the factor starts with.
        beta_regularizer: penalty on the offset; null is none.
        gamma_regularizer: penalty on the factor; null is none.
        beta_constraint: what the offset is kept to after each step; null is nothing.
        gamma_constraint: what the factor is kept to after each step; null is nothing.
    """
    import keras

    return keras.layers.GroupNormalization(
        groups=groups,
        axis=axis,
        epsilon=epsilon,
        center=center,
        scale=scale,
        beta_initializer=beta_initializer,
        gamma_initializer=gamma_initializer,
        beta_regularizer=regularizer(beta_regularizer),
        gamma_regularizer=regularizer(gamma_regularizer),
        beta_constraint=beta_constraint,
        gamma_constraint=gamma_constraint,
    )


def grouped_query_attention(
    head_dim: Count,
    num_query_heads: Count,
    num_key_value_heads: Count,
    dropout: Fraction = 0.0,
    use_bias: bool = True,
    sliding_window: Count | None = None,
    kernel_initializer: InitializerName = "glorot_uniform",
    bias_initializer: InitializerName = "zeros",
    kernel_regularizer: Regularizer | None = None,
    bias_regularizer: Regularizer | None = None,
    activity_regularizer: Regularizer | None = None,
    kernel_constraint: ConstraintName | None = None,
    bias_constraint: ConstraintName | None = None,
    use_gate: bool = False,
    causal: bool = False,
) -> Architecture:
    """Attention whose heads share keys in groups (Ainslie et al. 2023); inputs as of multi_head_attention.

    Args:
        head_dim: size of a head.
        num_query_heads: heads of the query; a multiple of num_key_value_heads.
        num_key_value_heads: heads of keys and values, each shared by a group of query heads.
        dropout: share that is set to zero in training.
        use_bias: add a trained offset.
        sliding_window: steps that each query sees around itself; null is all.
        kernel_initializer: what the kernel starts with.
        bias_initializer: what the offset starts with.
        kernel_regularizer: penalty on the kernel; null is none.
        bias_regularizer: penalty on the offset; null is none.
        activity_regularizer: penalty on the output; null is none.
        kernel_constraint: what the kernel is kept to after each step; null is nothing.
        bias_constraint: what the offset is kept to after each step; null is nothing.
        use_gate: gate the output by the query.
        causal: each position sees itself and those before it.
    """
    import keras

    from kplug.default_plugins.keras_components.self_attention import Attending

    return Attending(
        keras.layers.GroupQueryAttention(
            head_dim=head_dim,
            num_query_heads=num_query_heads,
            num_key_value_heads=num_key_value_heads,
            dropout=dropout,
            use_bias=use_bias,
            sliding_window=sliding_window,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=regularizer(kernel_regularizer),
            bias_regularizer=regularizer(bias_regularizer),
            activity_regularizer=regularizer(activity_regularizer),
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            use_gate=use_gate,
        ),
        causal,
    )


def gru(
    units: Count,
    activation: ActivationName | None = "tanh",
    recurrent_activation: ActivationName | None = "sigmoid",
    use_bias: bool = True,
    kernel_initializer: InitializerName = "glorot_uniform",
    recurrent_initializer: InitializerName = "orthogonal",
    bias_initializer: InitializerName = "zeros",
    kernel_regularizer: Regularizer | None = None,
    recurrent_regularizer: Regularizer | None = None,
    bias_regularizer: Regularizer | None = None,
    activity_regularizer: Regularizer | None = None,
    kernel_constraint: ConstraintName | None = None,
    recurrent_constraint: ConstraintName | None = None,
    bias_constraint: ConstraintName | None = None,
    dropout: Fraction = 0.0,
    recurrent_dropout: Fraction = 0.0,
    return_sequences: bool = False,
    go_backwards: bool = False,
    unroll: bool = False,
    reset_after: bool = True,
) -> Architecture:
    """Gated recurrent unit (Cho et al. 2014).

    Args:
        units: size of the output's last axis.
        activation: function of the output; null is none.
        recurrent_activation: function of the gates.
        use_bias: add a trained offset.
        kernel_initializer: what the kernel starts with.
        recurrent_initializer: what the recurrent starts with.
        bias_initializer: what the offset starts with.
        kernel_regularizer: penalty on the kernel; null is none.
        recurrent_regularizer: penalty on the recurrent; null is none.
        bias_regularizer: penalty on the offset; null is none.
        activity_regularizer: penalty on the output; null is none.
        kernel_constraint: what the kernel is kept to after each step; null is nothing.
        recurrent_constraint: what the recurrent is kept to after each step; null is nothing.
        bias_constraint: what the offset is kept to after each step; null is nothing.
        dropout: share that is set to zero in training.
        recurrent_dropout: share of the state that is set to zero in training.
        return_sequences: put out every step instead of the last.
        go_backwards: read the sequence from its end.
        unroll: unroll the loop: faster for short sequences, more memory.
        reset_after: apply the reset gate after the matrix product.
    """
    import keras

    return keras.layers.GRU(
        units=units,
        activation=activation,
        recurrent_activation=recurrent_activation,
        use_bias=use_bias,
        kernel_initializer=kernel_initializer,
        recurrent_initializer=recurrent_initializer,
        bias_initializer=bias_initializer,
        kernel_regularizer=regularizer(kernel_regularizer),
        recurrent_regularizer=regularizer(recurrent_regularizer),
        bias_regularizer=regularizer(bias_regularizer),
        activity_regularizer=regularizer(activity_regularizer),
        kernel_constraint=kernel_constraint,
        recurrent_constraint=recurrent_constraint,
        bias_constraint=bias_constraint,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        return_sequences=return_sequences,
        go_backwards=go_backwards,
        unroll=unroll,
        reset_after=reset_after,
    )


def identity() -> Architecture:
    """Puts out what it gets."""
    import keras

    return keras.layers.Identity()


def layer_normalization(
    axis: int | tuple[int, ...] = -1,
    epsilon: Positive = 0.001,
    center: bool = True,
    scale: bool = True,
    beta_initializer: InitializerName = "zeros",
    gamma_initializer: InitializerName = "ones",
    beta_regularizer: Regularizer | None = None,
    gamma_regularizer: Regularizer | None = None,
    beta_constraint: ConstraintName | None = None,
    gamma_constraint: ConstraintName | None = None,
) -> Architecture:
    """Normalizes each example over its features (Ba et al. 2016).

    Args:
        axis: axis or axes that are normalized over.
        epsilon: small number that keeps a division from zero.
        center: add a trained offset.
        scale: multiply by a trained factor.
        beta_initializer: what the offset starts with.
        gamma_initializer: what the factor starts with.
        beta_regularizer: penalty on the offset; null is none.
        gamma_regularizer: penalty on the factor; null is none.
        beta_constraint: what the offset is kept to after each step; null is nothing.
        gamma_constraint: what the factor is kept to after each step; null is nothing.
    """
    import keras

    return keras.layers.LayerNormalization(
        axis=axis,
        epsilon=epsilon,
        center=center,
        scale=scale,
        beta_initializer=beta_initializer,
        gamma_initializer=gamma_initializer,
        beta_regularizer=regularizer(beta_regularizer),
        gamma_regularizer=regularizer(gamma_regularizer),
        beta_constraint=beta_constraint,
        gamma_constraint=gamma_constraint,
    )


def leaky_relu(negative_slope: NonNegative = 0.3) -> Architecture:
    """Rectified linear unit with a slope for negative inputs.

    Args:
        negative_slope: slope for negative inputs.
    """
    import keras

    return keras.layers.LeakyReLU(negative_slope=negative_slope)


def lstm(
    units: Count,
    activation: ActivationName | None = "tanh",
    recurrent_activation: ActivationName | None = "sigmoid",
    use_bias: bool = True,
    kernel_initializer: InitializerName = "glorot_uniform",
    recurrent_initializer: InitializerName = "orthogonal",
    bias_initializer: InitializerName = "zeros",
    unit_forget_bias: bool = True,
    kernel_regularizer: Regularizer | None = None,
    recurrent_regularizer: Regularizer | None = None,
    bias_regularizer: Regularizer | None = None,
    activity_regularizer: Regularizer | None = None,
    kernel_constraint: ConstraintName | None = None,
    recurrent_constraint: ConstraintName | None = None,
    bias_constraint: ConstraintName | None = None,
    dropout: Fraction = 0.0,
    recurrent_dropout: Fraction = 0.0,
    return_sequences: bool = False,
    go_backwards: bool = False,
    unroll: bool = False,
) -> Architecture:
    """Long short-term memory (Hochreiter and Schmidhuber 1997).

    Args:
        units: size of the output's last axis.
        activation: function of the output; null is none.
        recurrent_activation: function of the gates.
        use_bias: add a trained offset.
        kernel_initializer: what the kernel starts with.
        recurrent_initializer: what the recurrent starts with.
        bias_initializer: what the offset starts with.
        unit_forget_bias: start the forget gate's offset at 1.
        kernel_regularizer: penalty on the kernel; null is none.
        recurrent_regularizer: penalty on the recurrent; null is none.
        bias_regularizer: penalty on the offset; null is none.
        activity_regularizer: penalty on the output; null is none.
        kernel_constraint: what the kernel is kept to after each step; null is nothing.
        recurrent_constraint: what the recurrent is kept to after each step; null is nothing.
        bias_constraint: what the offset is kept to after each step; null is nothing.
        dropout: share that is set to zero in training.
        recurrent_dropout: share of the state that is set to zero in training.
        return_sequences: put out every step instead of the last.
        go_backwards: read the sequence from its end.
        unroll: unroll the loop: faster for short sequences, more memory.
    """
    import keras

    return keras.layers.LSTM(
        units=units,
        activation=activation,
        recurrent_activation=recurrent_activation,
        use_bias=use_bias,
        kernel_initializer=kernel_initializer,
        recurrent_initializer=recurrent_initializer,
        bias_initializer=bias_initializer,
        unit_forget_bias=unit_forget_bias,
        kernel_regularizer=regularizer(kernel_regularizer),
        recurrent_regularizer=regularizer(recurrent_regularizer),
        bias_regularizer=regularizer(bias_regularizer),
        activity_regularizer=regularizer(activity_regularizer),
        kernel_constraint=kernel_constraint,
        recurrent_constraint=recurrent_constraint,
        bias_constraint=bias_constraint,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        return_sequences=return_sequences,
        go_backwards=go_backwards,
        unroll=unroll,
    )


def masking(mask_value: float = 0.0) -> Architecture:
    """Steps that hold nothing but one value are skipped by later layers.

    Args:
        mask_value: the value that marks a step to skip.
    """
    import keras

    return keras.layers.Masking(mask_value=mask_value)


def max_pooling1d(pool_size: Count = 2, strides: Count | None = None, padding: Padding = "valid") -> Architecture:
    """Maximum of each window over steps.

    Args:
        pool_size: steps of the window.
        strides: how far the window moves, in steps; null is pool_size.
        padding: valid adds no border, same adds the border that keeps the size at stride 1.
    """
    import keras

    return keras.layers.MaxPooling1D(pool_size=pool_size, strides=strides, padding=padding)


def max_pooling2d(
    pool_size: Count | Size = (2, 2), strides: Count | Size | None = None, padding: Padding = "valid"
) -> Architecture:
    """Maximum of each window over height and width.

    Args:
        pool_size: height and width of the window; one number for all.
        strides: how far the window moves, in height and width; null is pool_size.
        padding: valid adds no border, same adds the border that keeps the size at stride 1.
    """
    import keras

    return keras.layers.MaxPooling2D(pool_size=pool_size, strides=strides, padding=padding)


def max_pooling3d(
    pool_size: Count | Volume = (2, 2, 2), strides: Count | Volume | None = None, padding: Padding = "valid"
) -> Architecture:
    """Maximum of each window over depth, height and width.

    Args:
        pool_size: depth, height and width of the window; one number for all.
        strides: how far the window moves, in depth, height and width; null is pool_size.
        padding: valid adds no border, same adds the border that keeps the size at stride 1.
    """
    import keras

    return keras.layers.MaxPooling3D(pool_size=pool_size, strides=strides, padding=padding)


def maximum() -> Architecture:
    """Largest of several inputs, number by number."""
    import keras

    return keras.layers.Maximum()


def minimum() -> Architecture:
    """Smallest of several inputs, number by number."""
    import keras

    return keras.layers.Minimum()


def multi_head_attention(
    num_heads: Count,
    key_dim: Count,
    value_dim: Count | None = None,
    dropout: Fraction = 0.0,
    use_bias: bool = True,
    output_shape: Count | None = None,
    attention_axes: tuple[int, ...] | None = None,
    sliding_window: Count | None = None,
    kernel_initializer: InitializerName = "glorot_uniform",
    bias_initializer: InitializerName = "zeros",
    kernel_regularizer: Regularizer | None = None,
    bias_regularizer: Regularizer | None = None,
    activity_regularizer: Regularizer | None = None,
    kernel_constraint: ConstraintName | None = None,
    bias_constraint: ConstraintName | None = None,
    use_gate: bool = False,
    causal: bool = False,
) -> Architecture:
    """Multi-head attention (Vaswani et al. 2017); one input attends to itself, or [query, value], or with a key.

    Args:
        num_heads: attention heads.
        key_dim: size of a head's queries and keys.
        value_dim: size of a head's values; null is key_dim.
        dropout: share that is set to zero in training.
        use_bias: add a trained offset.
        output_shape: size of the output's last axis; null is that of the query.
        attention_axes: axes that are attended over; null is all but batch and features.
        sliding_window: steps that each query sees around itself; null is all.
        kernel_initializer: what the kernel starts with.
        bias_initializer: what the offset starts with.
        kernel_regularizer: penalty on the kernel; null is none.
        bias_regularizer: penalty on the offset; null is none.
        activity_regularizer: penalty on the output; null is none.
        kernel_constraint: what the kernel is kept to after each step; null is nothing.
        bias_constraint: what the offset is kept to after each step; null is nothing.
        use_gate: gate the output by the query.
        causal: each position sees itself and those before it.
    """
    import keras

    from kplug.default_plugins.keras_components.self_attention import Attending

    return Attending(
        keras.layers.MultiHeadAttention(
            num_heads=num_heads,
            key_dim=key_dim,
            value_dim=value_dim,
            dropout=dropout,
            use_bias=use_bias,
            output_shape=output_shape,
            attention_axes=attention_axes,
            sliding_window=sliding_window,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=regularizer(kernel_regularizer),
            bias_regularizer=regularizer(bias_regularizer),
            activity_regularizer=regularizer(activity_regularizer),
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            use_gate=use_gate,
        ),
        causal,
    )


def multiply() -> Architecture:
    """Product of several inputs, number by number."""
    import keras

    return keras.layers.Multiply()


@rule(same_length)
def normalization(
    mean: float | tuple[float, ...], variance: Positive | tuple[Positive, ...], invert: bool = False
) -> Architecture:
    """Subtracts a mean and divides by a standard deviation that are given.

    Args:
        mean: mean, one for all or one for each channel.
        variance: variance, one for all or one for each channel.
        invert: undo a normalization instead.
    """
    import keras

    return keras.layers.Normalization(mean=mean, variance=variance, invert=invert)


def permute(dims: tuple[Count, ...]) -> Architecture:
    """The same axes in another order.

    Args:
        dims: the axes in their new order, without the batch, from 1.
    """
    import keras

    return keras.layers.Permute(dims=dims)


def prelu(
    alpha_initializer: InitializerName = "zeros",
    alpha_regularizer: Regularizer | None = None,
    alpha_constraint: ConstraintName | None = None,
    shared_axes: tuple[Count, ...] | None = None,
) -> Architecture:
    """Rectified linear unit with a trained slope for negative inputs (He et al. 2015).

    Args:
        alpha_initializer: what the slope starts with.
        alpha_regularizer: penalty on the slope; null is none.
        alpha_constraint: what the slope is kept to after each step; null is nothing.
        shared_axes: axes that share a slope; [1, 2] is one a channel.
    """
    import keras

    return keras.layers.PReLU(
        alpha_initializer=alpha_initializer,
        alpha_regularizer=regularizer(alpha_regularizer),
        alpha_constraint=alpha_constraint,
        shared_axes=shared_axes,
    )


def relu(
    max_value: NonNegative | None = None, negative_slope: NonNegative = 0.0, threshold: NonNegative = 0.0
) -> Architecture:
    """Rectified linear unit.

    Args:
        max_value: largest output; null is no limit.
        negative_slope: slope for negative inputs.
        threshold: inputs below it are cut.
    """
    import keras

    return keras.layers.ReLU(max_value=max_value, negative_slope=negative_slope, threshold=threshold)


def repeat_vector(n: Count) -> Architecture:
    """Repeats a vector as a sequence.

    Args:
        n: number of steps.
    """
    import keras

    return keras.layers.RepeatVector(n=n)


def rescaling(scale: float | tuple[float, ...], offset: float | tuple[float, ...] = 0.0) -> Architecture:
    """Multiplies by a factor and adds an offset.

    Args:
        scale: factor, one for all or one for each channel.
        offset: what is added afterwards, one for all or one for each channel.
    """
    import keras

    return keras.layers.Rescaling(scale=scale, offset=offset)


def reshape(target_shape: tuple[Dimension, ...]) -> Architecture:
    """The same numbers in another shape.

    Args:
        target_shape: shape without the batch; one -1 follows from the rest.
    """
    import keras

    return keras.layers.Reshape(target_shape=target_shape)


def rms_normalization(axis: int = -1, epsilon: Positive = 1e-06) -> Architecture:
    """Divides by the root mean square of the features (Zhang and Sennrich 2019).

    Args:
        axis: axis that holds the features.
        epsilon: small number that keeps a division from zero.
    """
    import keras

    return keras.layers.RMSNormalization(axis=axis, epsilon=epsilon)


@rule(stride_or_dilation)
def separable_conv1d(
    filters: Count,
    kernel_size: Count,
    strides: Count = 1,
    padding: CausalPadding = "valid",
    dilation_rate: Count = 1,
    depth_multiplier: Count = 1,
    activation: ActivationName | None = None,
    use_bias: bool = True,
    depthwise_initializer: InitializerName = "glorot_uniform",
    pointwise_initializer: InitializerName = "glorot_uniform",
    bias_initializer: InitializerName = "zeros",
    depthwise_regularizer: Regularizer | None = None,
    pointwise_regularizer: Regularizer | None = None,
    bias_regularizer: Regularizer | None = None,
    activity_regularizer: Regularizer | None = None,
    depthwise_constraint: ConstraintName | None = None,
    pointwise_constraint: ConstraintName | None = None,
    bias_constraint: ConstraintName | None = None,
) -> Architecture:
    """Convolution over steps, channel by channel and then across channels (Chollet 2017).

    Args:
        filters: channels of the output.
        kernel_size: steps of the kernel.
        strides: how far the window moves, in steps.
        padding: valid adds no border, same keeps the length, causal keeps it and never looks ahead.
        dilation_rate: distance of the kernel's points, in steps; 1 is plain.
        depth_multiplier: output channels of the depthwise step for each input channel.
        activation: function of the output; null is none.
        use_bias: add a trained offset.
        depthwise_initializer: what the depthwise starts with.
        pointwise_initializer: what the pointwise starts with.
        bias_initializer: what the offset starts with.
        depthwise_regularizer: penalty on the depthwise; null is none.
        pointwise_regularizer: penalty on the pointwise; null is none.
        bias_regularizer: penalty on the offset; null is none.
        activity_regularizer: penalty on the output; null is none.
        depthwise_constraint: what the depthwise is kept to after each step; null is nothing.
        pointwise_constraint: what the pointwise is kept to after each step; null is nothing.
        bias_constraint: what the offset is kept to after each step; null is nothing.
    """
    import keras

    return keras.layers.SeparableConv1D(
        filters=filters,
        kernel_size=kernel_size,
        strides=strides,
        padding=padding,
        dilation_rate=dilation_rate,
        depth_multiplier=depth_multiplier,
        activation=activation,
        use_bias=use_bias,
        depthwise_initializer=depthwise_initializer,
        pointwise_initializer=pointwise_initializer,
        bias_initializer=bias_initializer,
        depthwise_regularizer=regularizer(depthwise_regularizer),
        pointwise_regularizer=regularizer(pointwise_regularizer),
        bias_regularizer=regularizer(bias_regularizer),
        activity_regularizer=regularizer(activity_regularizer),
        depthwise_constraint=depthwise_constraint,
        pointwise_constraint=pointwise_constraint,
        bias_constraint=bias_constraint,
    )


@rule(stride_or_dilation)
def separable_conv2d(
    filters: Count,
    kernel_size: Count | Size,
    strides: Count | Size = (1, 1),
    padding: Padding = "valid",
    dilation_rate: Count | Size = (1, 1),
    depth_multiplier: Count = 1,
    activation: ActivationName | None = None,
    use_bias: bool = True,
    depthwise_initializer: InitializerName = "glorot_uniform",
    pointwise_initializer: InitializerName = "glorot_uniform",
    bias_initializer: InitializerName = "zeros",
    depthwise_regularizer: Regularizer | None = None,
    pointwise_regularizer: Regularizer | None = None,
    bias_regularizer: Regularizer | None = None,
    activity_regularizer: Regularizer | None = None,
    depthwise_constraint: ConstraintName | None = None,
    pointwise_constraint: ConstraintName | None = None,
    bias_constraint: ConstraintName | None = None,
) -> Architecture:
    """Convolution over height and width, channel by channel and then across channels (Chollet 2017).

    Args:
        filters: channels of the output.
        kernel_size: height and width of the kernel; one number for all.
        strides: how far the window moves, in height and width; one number for all.
        padding: valid adds no border, same adds the border that keeps the size at stride 1.
        dilation_rate: distance of the kernel's points, in height and width; one number for all; 1 is plain.
        depth_multiplier: output channels of the depthwise step for each input channel.
        activation: function of the output; null is none.
        use_bias: add a trained offset.
        depthwise_initializer: what the depthwise starts with.
        pointwise_initializer: what the pointwise starts with.
        bias_initializer: what the offset starts with.
        depthwise_regularizer: penalty on the depthwise; null is none.
        pointwise_regularizer: penalty on the pointwise; null is none.
        bias_regularizer: penalty on the offset; null is none.
        activity_regularizer: penalty on the output; null is none.
        depthwise_constraint: what the depthwise is kept to after each step; null is nothing.
        pointwise_constraint: what the pointwise is kept to after each step; null is nothing.
        bias_constraint: what the offset is kept to after each step; null is nothing.
    """
    import keras

    return keras.layers.SeparableConv2D(
        filters=filters,
        kernel_size=kernel_size,
        strides=strides,
        padding=padding,
        dilation_rate=dilation_rate,
        depth_multiplier=depth_multiplier,
        activation=activation,
        use_bias=use_bias,
        depthwise_initializer=depthwise_initializer,
        pointwise_initializer=pointwise_initializer,
        bias_initializer=bias_initializer,
        depthwise_regularizer=regularizer(depthwise_regularizer),
        pointwise_regularizer=regularizer(pointwise_regularizer),
        bias_regularizer=regularizer(bias_regularizer),
        activity_regularizer=regularizer(activity_regularizer),
        depthwise_constraint=depthwise_constraint,
        pointwise_constraint=pointwise_constraint,
        bias_constraint=bias_constraint,
    )


def simple_rnn(
    units: Count,
    activation: ActivationName | None = "tanh",
    use_bias: bool = True,
    kernel_initializer: InitializerName = "glorot_uniform",
    recurrent_initializer: InitializerName = "orthogonal",
    bias_initializer: InitializerName = "zeros",
    kernel_regularizer: Regularizer | None = None,
    recurrent_regularizer: Regularizer | None = None,
    bias_regularizer: Regularizer | None = None,
    activity_regularizer: Regularizer | None = None,
    kernel_constraint: ConstraintName | None = None,
    recurrent_constraint: ConstraintName | None = None,
    bias_constraint: ConstraintName | None = None,
    dropout: Fraction = 0.0,
    recurrent_dropout: Fraction = 0.0,
    return_sequences: bool = False,
    go_backwards: bool = False,
    unroll: bool = False,
) -> Architecture:
    """Recurrent layer whose output is its next input.

    Args:
        units: size of the output's last axis.
        activation: function of the output; null is none.
        use_bias: add a trained offset.
        kernel_initializer: what the kernel starts with.
        recurrent_initializer: what the recurrent starts with.
        bias_initializer: what the offset starts with.
        kernel_regularizer: penalty on the kernel; null is none.
        recurrent_regularizer: penalty on the recurrent; null is none.
        bias_regularizer: penalty on the offset; null is none.
        activity_regularizer: penalty on the output; null is none.
        kernel_constraint: what the kernel is kept to after each step; null is nothing.
        recurrent_constraint: what the recurrent is kept to after each step; null is nothing.
        bias_constraint: what the offset is kept to after each step; null is nothing.
        dropout: share that is set to zero in training.
        recurrent_dropout: share of the state that is set to zero in training.
        return_sequences: put out every step instead of the last.
        go_backwards: read the sequence from its end.
        unroll: unroll the loop: faster for short sequences, more memory.
    """
    import keras

    return keras.layers.SimpleRNN(
        units=units,
        activation=activation,
        use_bias=use_bias,
        kernel_initializer=kernel_initializer,
        recurrent_initializer=recurrent_initializer,
        bias_initializer=bias_initializer,
        kernel_regularizer=regularizer(kernel_regularizer),
        recurrent_regularizer=regularizer(recurrent_regularizer),
        bias_regularizer=regularizer(bias_regularizer),
        activity_regularizer=regularizer(activity_regularizer),
        kernel_constraint=kernel_constraint,
        recurrent_constraint=recurrent_constraint,
        bias_constraint=bias_constraint,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        return_sequences=return_sequences,
        go_backwards=go_backwards,
        unroll=unroll,
    )


def softmax(axis: int = -1) -> Architecture:
    """Makes numbers along an axis positive with the sum 1.

    Args:
        axis: axis of the sum.
    """
    import keras

    return keras.layers.Softmax(axis=axis)


def spatial_dropout1d(rate: Fraction) -> Architecture:
    """Sets whole channels over steps to zero in training (Tompson et al. 2015).

    Args:
        rate: share of the channels that is set to zero.
    """
    import keras

    return keras.layers.SpatialDropout1D(rate=rate)


def spatial_dropout2d(rate: Fraction) -> Architecture:
    """Sets whole channels over height and width to zero in training (Tompson et al. 2015).

    Args:
        rate: share of the channels that is set to zero.
    """
    import keras

    return keras.layers.SpatialDropout2D(rate=rate)


def spatial_dropout3d(rate: Fraction) -> Architecture:
    """Sets whole channels over depth, height and width to zero in training (Tompson et al. 2015).

    Args:
        rate: share of the channels that is set to zero.
    """
    import keras

    return keras.layers.SpatialDropout3D(rate=rate)


def spectral_normalization(layer: Architecture, power_iterations: Count = 1) -> Architecture:
    """Keeps the largest singular value of a layer's weights at 1 (Miyato et al. 2018).

    Args:
        layer: the layer that is wrapped.
        power_iterations: power iterations in each step.
    """
    import keras

    return keras.layers.SpectralNormalization(layer=layer, power_iterations=power_iterations)


def subtract() -> Architecture:
    """Difference of two inputs."""
    import keras

    return keras.layers.Subtract()


def time_distributed(layer: Architecture) -> Architecture:
    """A layer for each step of a sequence.

    Args:
        layer: the layer that is wrapped.
    """
    import keras

    return keras.layers.TimeDistributed(layer=layer)


def unit_normalization(axis: int | tuple[int, ...] = -1) -> Architecture:
    """Scales each example to length 1.

    Args:
        axis: axis or axes that are scaled over.
    """
    import keras

    return keras.layers.UnitNormalization(axis=axis)


def up_sampling1d(size: Count = 2) -> Architecture:
    """Enlarges steps without training.

    Args:
        size: by how much steps grow.
    """
    import keras

    return keras.layers.UpSampling1D(size=size)


def up_sampling2d(
    size: Count | Size = (2, 2),
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"] = "nearest",
) -> Architecture:
    """Enlarges height and width without training.

    Args:
        size: by how much height and width grow; one number for all.
        interpolation: how new pixels are made.
    """
    import keras

    return keras.layers.UpSampling2D(size=size, interpolation=interpolation)


def up_sampling3d(size: Count | Volume = (2, 2, 2)) -> Architecture:
    """Enlarges depth, height and width without training.

    Args:
        size: by how much depth, height and width grow; one number for all.
    """
    import keras

    return keras.layers.UpSampling3D(size=size)


def zero_padding1d(padding: Border1D = 1) -> Architecture:
    """Adds zeros around steps.

    Args:
        padding: zeros that are added: a number for both ends, or [before, after].
    """
    import keras

    return keras.layers.ZeroPadding1D(padding=padding)


def zero_padding2d(padding: Border2D = (1, 1)) -> Architecture:
    """Adds zeros around height and width.

    Args:
        padding: zeros that are added: a number for all sides, [height, width], or [[top, bottom], [left, right]].
    """
    import keras

    return keras.layers.ZeroPadding2D(padding=padding)


def zero_padding3d(padding: Border3D = ((1, 1), (1, 1), (1, 1))) -> Architecture:
    """Adds zeros around depth, height and width.

    Args:
        padding: zeros that are added: one number, [depth, height, width], or a pair [before, after] for each.
    """
    import keras

    return keras.layers.ZeroPadding3D(padding=padding)


COMPONENTS = [
    activation,
    activity_regularization,
    adaptive_average_pooling1d,
    adaptive_average_pooling2d,
    adaptive_average_pooling3d,
    adaptive_max_pooling1d,
    adaptive_max_pooling2d,
    adaptive_max_pooling3d,
    add,
    additive_attention,
    alpha_dropout,
    attention,
    average,
    average_pooling1d,
    average_pooling2d,
    average_pooling3d,
    batch_normalization,
    bidirectional,
    concatenate,
    conv1d,
    conv1d_transpose,
    conv2d,
    conv2d_transpose,
    conv3d,
    conv3d_transpose,
    conv_lstm1d,
    conv_lstm2d,
    conv_lstm3d,
    cropping1d,
    cropping2d,
    cropping3d,
    dense,
    depthwise_conv1d,
    depthwise_conv2d,
    dot,
    dropout,
    einsum_dense,
    elu,
    embedding,
    flatten,
    gaussian_dropout,
    gaussian_noise,
    global_average_pooling1d,
    global_average_pooling2d,
    global_average_pooling3d,
    global_max_pooling1d,
    global_max_pooling2d,
    global_max_pooling3d,
    group_normalization,
    grouped_query_attention,
    gru,
    identity,
    layer_normalization,
    leaky_relu,
    lstm,
    masking,
    max_pooling1d,
    max_pooling2d,
    max_pooling3d,
    maximum,
    minimum,
    multi_head_attention,
    multiply,
    normalization,
    permute,
    prelu,
    relu,
    repeat_vector,
    rescaling,
    reshape,
    rms_normalization,
    separable_conv1d,
    separable_conv2d,
    simple_rnn,
    softmax,
    spatial_dropout1d,
    spatial_dropout2d,
    spatial_dropout3d,
    spectral_normalization,
    subtract,
    time_distributed,
    unit_normalization,
    up_sampling1d,
    up_sampling2d,
    up_sampling3d,
    zero_padding1d,
    zero_padding2d,
    zero_padding3d,
]
