"""Optimizers of Keras.

Written by tools/keras_components/write from Keras 3.15; do not edit.
"""

from kplug.default_plugins.keras_components.types import Negative, OpenUnit, Several, one_clipping
from kplug.kinds import Count, Fraction, Natural, NonNegative, Optimizer, Positive, Schedule, Text, Unit, rule


@rule(one_clipping)
def adadelta(
    learning_rate: Schedule | Positive = 0.001,
    rho: Fraction = 0.95,
    epsilon: Positive = 1e-07,
    weight_decay: NonNegative | None = None,
    clipnorm: Positive | None = None,
    clipvalue: Positive | None = None,
    global_clipnorm: Positive | None = None,
    use_ema: bool = False,
    ema_momentum: Unit = 0.99,
    ema_overwrite_frequency: Count | None = None,
    gradient_accumulation_steps: Several | None = None,
    decay_vectors: bool = False,
    layer_decay: OpenUnit | None = None,
) -> Optimizer:
    """Steps scaled by a window of past gradients and steps (Zeiler 2012).

    Args:
        learning_rate: size of a step, or its course.
        rho: share of the old mean of squared gradients that each step keeps.
        epsilon: small number that keeps a division from zero.
        weight_decay: share of the weights that is taken off in each step, times learning_rate.
        clipnorm: longest gradient of each weight; null is no limit.
        clipvalue: largest number in a gradient; null is no limit.
        global_clipnorm: longest gradient of all weights together; null is no limit.
        use_ema: validate, keep and end with a moving average of the weights; steps go on from themselves.
        ema_momentum: share of the old average that each step keeps.
        ema_overwrite_frequency: steps after which training goes on from the average; null is never.
        gradient_accumulation_steps: steps whose gradients are averaged into one; null is none.
        decay_vectors: weight decay for biases and norms too: what has one axis, bias, gamma, beta.
        layer_decay: multiplies the rate and the decay once for each layer further from the output (BEiT); null is 1.
    """
    import keras

    from kplug.default_plugins.keras_components.optimizer_extras import adjusted

    return adjusted(
        keras.optimizers.Adadelta(
            learning_rate=learning_rate,
            rho=rho,
            epsilon=epsilon,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            gradient_accumulation_steps=gradient_accumulation_steps,
        ),
        decay_vectors,
        layer_decay,
    )


@rule(one_clipping)
def adafactor(
    learning_rate: Schedule | Positive = 0.001,
    beta_2_decay: Negative = -0.8,
    epsilon_1: Positive = 1e-30,
    epsilon_2: Positive = 0.001,
    clip_threshold: Positive = 1.0,
    relative_step: bool = True,
    weight_decay: NonNegative | None = None,
    clipnorm: Positive | None = None,
    clipvalue: Positive | None = None,
    global_clipnorm: Positive | None = None,
    use_ema: bool = False,
    ema_momentum: Unit = 0.99,
    ema_overwrite_frequency: Count | None = None,
    gradient_accumulation_steps: Several | None = None,
    decay_vectors: bool = False,
    layer_decay: OpenUnit | None = None,
) -> Optimizer:
    """Adam with a second moment kept as rows and columns, to save memory (Shazeer and Stern 2018).

    Args:
        learning_rate: size of a step, or its course.
        beta_2_decay: exponent with which the second moment's memory grows.
        epsilon_1: small number added to squared gradients.
        epsilon_2: smallest scale of a weight, which scales its step.
        clip_threshold: root mean square beyond which a step is shortened.
        relative_step: limit the step size by the inverse root of the step number.
        weight_decay: share of the weights that is taken off in each step, times learning_rate.
        clipnorm: longest gradient of each weight; null is no limit.
        clipvalue: largest number in a gradient; null is no limit.
        global_clipnorm: longest gradient of all weights together; null is no limit.
        use_ema: validate, keep and end with a moving average of the weights; steps go on from themselves.
        ema_momentum: share of the old average that each step keeps.
        ema_overwrite_frequency: steps after which training goes on from the average; null is never.
        gradient_accumulation_steps: steps whose gradients are averaged into one; null is none.
        decay_vectors: weight decay for biases and norms too: what has one axis, bias, gamma, beta.
        layer_decay: multiplies the rate and the decay once for each layer further from the output (BEiT); null is 1.
    """
    import keras

    from kplug.default_plugins.keras_components.optimizer_extras import adjusted

    return adjusted(
        keras.optimizers.Adafactor(
            learning_rate=learning_rate,
            beta_2_decay=beta_2_decay,
            epsilon_1=epsilon_1,
            epsilon_2=epsilon_2,
            clip_threshold=clip_threshold,
            relative_step=relative_step,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            gradient_accumulation_steps=gradient_accumulation_steps,
        ),
        decay_vectors,
        layer_decay,
    )


@rule(one_clipping)
def adagrad(
    learning_rate: Schedule | Positive = 0.001,
    initial_accumulator_value: NonNegative = 0.1,
    epsilon: Positive = 1e-07,
    weight_decay: NonNegative | None = None,
    clipnorm: Positive | None = None,
    clipvalue: Positive | None = None,
    global_clipnorm: Positive | None = None,
    use_ema: bool = False,
    ema_momentum: Unit = 0.99,
    ema_overwrite_frequency: Count | None = None,
    gradient_accumulation_steps: Several | None = None,
    decay_vectors: bool = False,
    layer_decay: OpenUnit | None = None,
) -> Optimizer:
    """Steps scaled by the sum of all squared gradients (Duchi et al. 2011).

    Args:
        learning_rate: size of a step, or its course.
        initial_accumulator_value: what the sum of squared gradients starts with.
        epsilon: small number that keeps a division from zero.
        weight_decay: share of the weights that is taken off in each step, times learning_rate.
        clipnorm: longest gradient of each weight; null is no limit.
        clipvalue: largest number in a gradient; null is no limit.
        global_clipnorm: longest gradient of all weights together; null is no limit.
        use_ema: validate, keep and end with a moving average of the weights; steps go on from themselves.
        ema_momentum: share of the old average that each step keeps.
        ema_overwrite_frequency: steps after which training goes on from the average; null is never.
        gradient_accumulation_steps: steps whose gradients are averaged into one; null is none.
        decay_vectors: weight decay for biases and norms too: what has one axis, bias, gamma, beta.
        layer_decay: multiplies the rate and the decay once for each layer further from the output (BEiT); null is 1.
    """
    import keras

    from kplug.default_plugins.keras_components.optimizer_extras import adjusted

    return adjusted(
        keras.optimizers.Adagrad(
            learning_rate=learning_rate,
            initial_accumulator_value=initial_accumulator_value,
            epsilon=epsilon,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            gradient_accumulation_steps=gradient_accumulation_steps,
        ),
        decay_vectors,
        layer_decay,
    )


@rule(one_clipping)
def adam(
    learning_rate: Schedule | Positive = 0.001,
    beta_1: Fraction = 0.9,
    beta_2: Fraction = 0.999,
    epsilon: Positive = 1e-07,
    amsgrad: bool = False,
    weight_decay: NonNegative | None = None,
    clipnorm: Positive | None = None,
    clipvalue: Positive | None = None,
    global_clipnorm: Positive | None = None,
    use_ema: bool = False,
    ema_momentum: Unit = 0.99,
    ema_overwrite_frequency: Count | None = None,
    gradient_accumulation_steps: Several | None = None,
    decay_vectors: bool = False,
    layer_decay: OpenUnit | None = None,
) -> Optimizer:
    """Steps from the first two moments of the gradient (Kingma and Ba 2015).

    Args:
        learning_rate: size of a step, or its course.
        beta_1: share of the old first moment (mean of the gradients) that each step keeps.
        beta_2: share of the old second moment (mean of their squares) that each step keeps.
        epsilon: small number that keeps a division from zero.
        amsgrad: never let the second moment shrink (Reddi et al. 2018).
        weight_decay: share of the weights that is taken off in each step, times learning_rate.
        clipnorm: longest gradient of each weight; null is no limit.
        clipvalue: largest number in a gradient; null is no limit.
        global_clipnorm: longest gradient of all weights together; null is no limit.
        use_ema: validate, keep and end with a moving average of the weights; steps go on from themselves.
        ema_momentum: share of the old average that each step keeps.
        ema_overwrite_frequency: steps after which training goes on from the average; null is never.
        gradient_accumulation_steps: steps whose gradients are averaged into one; null is none.
        decay_vectors: weight decay for biases and norms too: what has one axis, bias, gamma, beta.
        layer_decay: multiplies the rate and the decay once for each layer further from the output (BEiT); null is 1.
    """
    import keras

    from kplug.default_plugins.keras_components.optimizer_extras import adjusted

    return adjusted(
        keras.optimizers.Adam(
            learning_rate=learning_rate,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            gradient_accumulation_steps=gradient_accumulation_steps,
        ),
        decay_vectors,
        layer_decay,
    )


@rule(one_clipping)
def adamax(
    learning_rate: Schedule | Positive = 0.001,
    beta_1: Fraction = 0.9,
    beta_2: Fraction = 0.999,
    epsilon: Positive = 1e-07,
    weight_decay: NonNegative | None = None,
    clipnorm: Positive | None = None,
    clipvalue: Positive | None = None,
    global_clipnorm: Positive | None = None,
    use_ema: bool = False,
    ema_momentum: Unit = 0.99,
    ema_overwrite_frequency: Count | None = None,
    gradient_accumulation_steps: Several | None = None,
    decay_vectors: bool = False,
    layer_decay: OpenUnit | None = None,
) -> Optimizer:
    """Adam with the largest gradient for the second moment (Kingma and Ba 2015).

    Args:
        learning_rate: size of a step, or its course.
        beta_1: share of the old first moment (mean of the gradients) that each step keeps.
        beta_2: share of the old second moment (mean of their squares) that each step keeps.
        epsilon: small number that keeps a division from zero.
        weight_decay: share of the weights that is taken off in each step, times learning_rate.
        clipnorm: longest gradient of each weight; null is no limit.
        clipvalue: largest number in a gradient; null is no limit.
        global_clipnorm: longest gradient of all weights together; null is no limit.
        use_ema: validate, keep and end with a moving average of the weights; steps go on from themselves.
        ema_momentum: share of the old average that each step keeps.
        ema_overwrite_frequency: steps after which training goes on from the average; null is never.
        gradient_accumulation_steps: steps whose gradients are averaged into one; null is none.
        decay_vectors: weight decay for biases and norms too: what has one axis, bias, gamma, beta.
        layer_decay: multiplies the rate and the decay once for each layer further from the output (BEiT); null is 1.
    """
    import keras

    from kplug.default_plugins.keras_components.optimizer_extras import adjusted

    return adjusted(
        keras.optimizers.Adamax(
            learning_rate=learning_rate,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            gradient_accumulation_steps=gradient_accumulation_steps,
        ),
        decay_vectors,
        layer_decay,
    )


@rule(one_clipping)
def adamw(
    learning_rate: Schedule | Positive = 0.001,
    weight_decay: NonNegative | None = 0.004,
    beta_1: Fraction = 0.9,
    beta_2: Fraction = 0.999,
    epsilon: Positive = 1e-07,
    amsgrad: bool = False,
    clipnorm: Positive | None = None,
    clipvalue: Positive | None = None,
    global_clipnorm: Positive | None = None,
    use_ema: bool = False,
    ema_momentum: Unit = 0.99,
    ema_overwrite_frequency: Count | None = None,
    gradient_accumulation_steps: Several | None = None,
    decay_vectors: bool = False,
    layer_decay: OpenUnit | None = None,
) -> Optimizer:
    """Adam with weight decay apart from the gradient (Loshchilov and Hutter 2019).

    Args:
        learning_rate: size of a step, or its course.
        weight_decay: share of the weights that is taken off in each step, times learning_rate.
        beta_1: share of the old first moment (mean of the gradients) that each step keeps.
        beta_2: share of the old second moment (mean of their squares) that each step keeps.
        epsilon: small number that keeps a division from zero.
        amsgrad: never let the second moment shrink (Reddi et al. 2018).
        clipnorm: longest gradient of each weight; null is no limit.
        clipvalue: largest number in a gradient; null is no limit.
        global_clipnorm: longest gradient of all weights together; null is no limit.
        use_ema: validate, keep and end with a moving average of the weights; steps go on from themselves.
        ema_momentum: share of the old average that each step keeps.
        ema_overwrite_frequency: steps after which training goes on from the average; null is never.
        gradient_accumulation_steps: steps whose gradients are averaged into one; null is none.
        decay_vectors: weight decay for biases and norms too: what has one axis, bias, gamma, beta.
        layer_decay: multiplies the rate and the decay once for each layer further from the output (BEiT); null is 1.
    """
    import keras

    from kplug.default_plugins.keras_components.optimizer_extras import adjusted

    return adjusted(
        keras.optimizers.AdamW(
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            gradient_accumulation_steps=gradient_accumulation_steps,
        ),
        decay_vectors,
        layer_decay,
    )


@rule(one_clipping)
def ftrl(
    learning_rate: Schedule | Positive = 0.001,
    learning_rate_power: Negative = -0.5,
    initial_accumulator_value: NonNegative = 0.1,
    l1_regularization_strength: NonNegative = 0.0,
    l2_regularization_strength: NonNegative = 0.0,
    l2_shrinkage_regularization_strength: NonNegative = 0.0,
    beta: NonNegative = 0.0,
    weight_decay: NonNegative | None = None,
    clipnorm: Positive | None = None,
    clipvalue: Positive | None = None,
    global_clipnorm: Positive | None = None,
    use_ema: bool = False,
    ema_momentum: Unit = 0.99,
    ema_overwrite_frequency: Count | None = None,
    gradient_accumulation_steps: Several | None = None,
    decay_vectors: bool = False,
    layer_decay: OpenUnit | None = None,
) -> Optimizer:
    """Follow the regularized leader (McMahan et al. 2013).

    Args:
        learning_rate: size of a step, or its course.
        learning_rate_power: exponent with which the step shrinks.
        initial_accumulator_value: what the sum of squared gradients starts with.
        l1_regularization_strength: weight of the sum of absolute values.
        l2_regularization_strength: weight of the sum of squares.
        l2_shrinkage_regularization_strength: weight of the sum of squares, in the gradient alone.
        beta: the paper's beta: added to the root of the squared gradients' sum.
        weight_decay: share of the weights that is taken off in each step, times learning_rate.
        clipnorm: longest gradient of each weight; null is no limit.
        clipvalue: largest number in a gradient; null is no limit.
        global_clipnorm: longest gradient of all weights together; null is no limit.
        use_ema: validate, keep and end with a moving average of the weights; steps go on from themselves.
        ema_momentum: share of the old average that each step keeps.
        ema_overwrite_frequency: steps after which training goes on from the average; null is never.
        gradient_accumulation_steps: steps whose gradients are averaged into one; null is none.
        decay_vectors: weight decay for biases and norms too: what has one axis, bias, gamma, beta.
        layer_decay: multiplies the rate and the decay once for each layer further from the output (BEiT); null is 1.
    """
    import keras

    from kplug.default_plugins.keras_components.optimizer_extras import adjusted

    return adjusted(
        keras.optimizers.Ftrl(
            learning_rate=learning_rate,
            learning_rate_power=learning_rate_power,
            initial_accumulator_value=initial_accumulator_value,
            l1_regularization_strength=l1_regularization_strength,
            l2_regularization_strength=l2_regularization_strength,
            l2_shrinkage_regularization_strength=l2_shrinkage_regularization_strength,
            beta=beta,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            gradient_accumulation_steps=gradient_accumulation_steps,
        ),
        decay_vectors,
        layer_decay,
    )


@rule(one_clipping)
def lamb(
    learning_rate: Schedule | Positive = 0.001,
    beta_1: Fraction = 0.9,
    beta_2: Fraction = 0.999,
    epsilon: Positive = 1e-07,
    weight_decay: NonNegative | None = None,
    clipnorm: Positive | None = None,
    clipvalue: Positive | None = None,
    global_clipnorm: Positive | None = None,
    use_ema: bool = False,
    ema_momentum: Unit = 0.99,
    ema_overwrite_frequency: Count | None = None,
    gradient_accumulation_steps: Several | None = None,
    decay_vectors: bool = False,
    layer_decay: OpenUnit | None = None,
) -> Optimizer:
    """Adam with a step for each layer scaled to its weights, for large batches (You et al. 2020).

    Args:
        learning_rate: size of a step, or its course.
        beta_1: share of the old first moment (mean of the gradients) that each step keeps.
        beta_2: share of the old second moment (mean of their squares) that each step keeps.
        epsilon: small number that keeps a division from zero.
        weight_decay: share of the weights that is taken off in each step, times learning_rate.
        clipnorm: longest gradient of each weight; null is no limit.
        clipvalue: largest number in a gradient; null is no limit.
        global_clipnorm: longest gradient of all weights together; null is no limit.
        use_ema: validate, keep and end with a moving average of the weights; steps go on from themselves.
        ema_momentum: share of the old average that each step keeps.
        ema_overwrite_frequency: steps after which training goes on from the average; null is never.
        gradient_accumulation_steps: steps whose gradients are averaged into one; null is none.
        decay_vectors: weight decay for biases and norms too: what has one axis, bias, gamma, beta.
        layer_decay: multiplies the rate and the decay once for each layer further from the output (BEiT); null is 1.
    """
    import keras

    from kplug.default_plugins.keras_components.optimizer_extras import adjusted

    return adjusted(
        keras.optimizers.Lamb(
            learning_rate=learning_rate,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            gradient_accumulation_steps=gradient_accumulation_steps,
        ),
        decay_vectors,
        layer_decay,
    )


@rule(one_clipping)
def lion(
    learning_rate: Schedule | Positive = 0.001,
    beta_1: Fraction = 0.9,
    beta_2: Fraction = 0.99,
    weight_decay: NonNegative | None = None,
    clipnorm: Positive | None = None,
    clipvalue: Positive | None = None,
    global_clipnorm: Positive | None = None,
    use_ema: bool = False,
    ema_momentum: Unit = 0.99,
    ema_overwrite_frequency: Count | None = None,
    gradient_accumulation_steps: Several | None = None,
    decay_vectors: bool = False,
    layer_decay: OpenUnit | None = None,
) -> Optimizer:
    """Steps by the sign of the momentum (Chen et al. 2023).

    Args:
        learning_rate: size of a step, or its course.
        beta_1: share of the old first moment (mean of the gradients) that each step keeps.
        beta_2: share of the old second moment (mean of their squares) that each step keeps.
        weight_decay: share of the weights that is taken off in each step, times learning_rate.
        clipnorm: longest gradient of each weight; null is no limit.
        clipvalue: largest number in a gradient; null is no limit.
        global_clipnorm: longest gradient of all weights together; null is no limit.
        use_ema: validate, keep and end with a moving average of the weights; steps go on from themselves.
        ema_momentum: share of the old average that each step keeps.
        ema_overwrite_frequency: steps after which training goes on from the average; null is never.
        gradient_accumulation_steps: steps whose gradients are averaged into one; null is none.
        decay_vectors: weight decay for biases and norms too: what has one axis, bias, gamma, beta.
        layer_decay: multiplies the rate and the decay once for each layer further from the output (BEiT); null is 1.
    """
    import keras

    from kplug.default_plugins.keras_components.optimizer_extras import adjusted

    return adjusted(
        keras.optimizers.Lion(
            learning_rate=learning_rate,
            beta_1=beta_1,
            beta_2=beta_2,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            gradient_accumulation_steps=gradient_accumulation_steps,
        ),
        decay_vectors,
        layer_decay,
    )


@rule(one_clipping)
def muon(
    learning_rate: Schedule | Positive = 0.001,
    adam_beta_1: Fraction = 0.9,
    adam_beta_2: Fraction = 0.999,
    adam_weight_decay: NonNegative | None = 0.004,
    epsilon: Positive = 1e-07,
    weight_decay: NonNegative | None = 0.004,
    clipnorm: Positive | None = None,
    clipvalue: Positive | None = None,
    global_clipnorm: Positive | None = None,
    use_ema: bool = False,
    ema_momentum: Unit = 0.99,
    ema_overwrite_frequency: Count | None = None,
    gradient_accumulation_steps: Several | None = None,
    exclude_layers: tuple[Text, ...] | None = None,
    exclude_embeddings: bool = True,
    muon_a: float = 3.4445,
    muon_b: float = -4.775,
    muon_c: float = 2.0315,
    adam_lr_ratio: Positive = 1,
    momentum: Unit = 0.95,
    ns_steps: Count = 5,
    nesterov: bool = True,
    rms_rate: Positive | None = 0.2,
    decay_vectors: bool = False,
    layer_decay: OpenUnit | None = None,
) -> Optimizer:
    """Momentum made orthogonal for matrices, Adam for the rest (Jordan et al. 2024).

    Args:
        learning_rate: size of a step, or its course.
        adam_beta_1: share of the old first moment, where Adam steps that each step keeps.
        adam_beta_2: share of the old second moment, where Adam steps that each step keeps.
        adam_weight_decay: weight decay where Adam steps.
        epsilon: small number that keeps a division from zero.
        weight_decay: share of the weights that is taken off in each step, times learning_rate.
        clipnorm: longest gradient of each weight; null is no limit.
        clipvalue: largest number in a gradient; null is no limit.
        global_clipnorm: longest gradient of all weights together; null is no limit.
        use_ema: validate, keep and end with a moving average of the weights; steps go on from themselves.
        ema_momentum: share of the old average that each step keeps.
        ema_overwrite_frequency: steps after which training goes on from the average; null is never.
        gradient_accumulation_steps: steps whose gradients are averaged into one; null is none.
        exclude_layers: regular expressions of weight paths that Adam takes.
        exclude_embeddings: Adam takes embeddings.
        muon_a: first coefficient of the Newton-Schulz iteration.
        muon_b: second coefficient of the Newton-Schulz iteration.
        muon_c: third coefficient of the Newton-Schulz iteration.
        adam_lr_ratio: learning rate of Adam as a multiple of learning_rate.
        momentum: share of the last step that is added to the next.
        ns_steps: Newton-Schulz iterations a step.
        nesterov: look ahead: Nesterov's momentum.
        rms_rate: root mean square that an orthogonal step is scaled to; null does not scale.
        decay_vectors: weight decay for biases and norms too: what has one axis, bias, gamma, beta.
        layer_decay: multiplies the rate and the decay once for each layer further from the output (BEiT); null is 1.
    """
    import keras

    from kplug.default_plugins.keras_components.optimizer_extras import adjusted

    return adjusted(
        keras.optimizers.Muon(
            learning_rate=learning_rate,
            adam_beta_1=adam_beta_1,
            adam_beta_2=adam_beta_2,
            adam_weight_decay=adam_weight_decay,
            epsilon=epsilon,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            gradient_accumulation_steps=gradient_accumulation_steps,
            exclude_layers=exclude_layers,
            exclude_embeddings=exclude_embeddings,
            muon_a=muon_a,
            muon_b=muon_b,
            muon_c=muon_c,
            adam_lr_ratio=adam_lr_ratio,
            momentum=momentum,
            ns_steps=ns_steps,
            nesterov=nesterov,
            rms_rate=rms_rate,
        ),
        decay_vectors,
        layer_decay,
    )


@rule(one_clipping)
def nadam(
    learning_rate: Schedule | Positive = 0.001,
    beta_1: Fraction = 0.9,
    beta_2: Fraction = 0.999,
    epsilon: Positive = 1e-07,
    weight_decay: NonNegative | None = None,
    clipnorm: Positive | None = None,
    clipvalue: Positive | None = None,
    global_clipnorm: Positive | None = None,
    use_ema: bool = False,
    ema_momentum: Unit = 0.99,
    ema_overwrite_frequency: Count | None = None,
    gradient_accumulation_steps: Several | None = None,
    decay_vectors: bool = False,
    layer_decay: OpenUnit | None = None,
) -> Optimizer:
    """Adam with Nesterov's momentum (Dozat 2016).

    Args:
        learning_rate: size of a step, or its course.
        beta_1: share of the old first moment (mean of the gradients) that each step keeps.
        beta_2: share of the old second moment (mean of their squares) that each step keeps.
        epsilon: small number that keeps a division from zero.
        weight_decay: share of the weights that is taken off in each step, times learning_rate.
        clipnorm: longest gradient of each weight; null is no limit.
        clipvalue: largest number in a gradient; null is no limit.
        global_clipnorm: longest gradient of all weights together; null is no limit.
        use_ema: validate, keep and end with a moving average of the weights; steps go on from themselves.
        ema_momentum: share of the old average that each step keeps.
        ema_overwrite_frequency: steps after which training goes on from the average; null is never.
        gradient_accumulation_steps: steps whose gradients are averaged into one; null is none.
        decay_vectors: weight decay for biases and norms too: what has one axis, bias, gamma, beta.
        layer_decay: multiplies the rate and the decay once for each layer further from the output (BEiT); null is 1.
    """
    import keras

    from kplug.default_plugins.keras_components.optimizer_extras import adjusted

    return adjusted(
        keras.optimizers.Nadam(
            learning_rate=learning_rate,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            gradient_accumulation_steps=gradient_accumulation_steps,
        ),
        decay_vectors,
        layer_decay,
    )


@rule(one_clipping)
def rmsprop(
    learning_rate: Schedule | Positive = 0.001,
    rho: Fraction = 0.9,
    momentum: Unit = 0.0,
    epsilon: Positive = 1e-07,
    centered: bool = False,
    weight_decay: NonNegative | None = None,
    clipnorm: Positive | None = None,
    clipvalue: Positive | None = None,
    global_clipnorm: Positive | None = None,
    use_ema: bool = False,
    ema_momentum: Unit = 0.99,
    ema_overwrite_frequency: Count | None = None,
    gradient_accumulation_steps: Several | None = None,
    decay_vectors: bool = False,
    layer_decay: OpenUnit | None = None,
) -> Optimizer:
    """Steps scaled by the recent size of the gradient (Tieleman and Hinton 2012).

    Args:
        learning_rate: size of a step, or its course.
        rho: share of the old mean of squared gradients that each step keeps.
        momentum: share of the last step that is added to the next.
        epsilon: small number that keeps a division from zero.
        centered: scale by the variance instead of the mean square.
        weight_decay: share of the weights that is taken off in each step, times learning_rate.
        clipnorm: longest gradient of each weight; null is no limit.
        clipvalue: largest number in a gradient; null is no limit.
        global_clipnorm: longest gradient of all weights together; null is no limit.
        use_ema: validate, keep and end with a moving average of the weights; steps go on from themselves.
        ema_momentum: share of the old average that each step keeps.
        ema_overwrite_frequency: steps after which training goes on from the average; null is never.
        gradient_accumulation_steps: steps whose gradients are averaged into one; null is none.
        decay_vectors: weight decay for biases and norms too: what has one axis, bias, gamma, beta.
        layer_decay: multiplies the rate and the decay once for each layer further from the output (BEiT); null is 1.
    """
    import keras

    from kplug.default_plugins.keras_components.optimizer_extras import adjusted

    return adjusted(
        keras.optimizers.RMSprop(
            learning_rate=learning_rate,
            rho=rho,
            momentum=momentum,
            epsilon=epsilon,
            centered=centered,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            gradient_accumulation_steps=gradient_accumulation_steps,
        ),
        decay_vectors,
        layer_decay,
    )


@rule(one_clipping)
def schedule_free_adamw(
    learning_rate: Schedule | Positive = 0.0025,
    beta_1: Fraction = 0.9,
    beta_2: Fraction = 0.999,
    epsilon: Positive = 1e-08,
    warmup_steps: Natural = 0,
    weight_decay: NonNegative | None = None,
    clipnorm: Positive | None = None,
    clipvalue: Positive | None = None,
    global_clipnorm: Positive | None = None,
    use_ema: bool = False,
    ema_momentum: Unit = 0.99,
    ema_overwrite_frequency: Count | None = None,
    gradient_accumulation_steps: Several | None = None,
    decay_vectors: bool = False,
    layer_decay: OpenUnit | None = None,
) -> Optimizer:
    """AdamW that needs no schedule: it averages its path (Defazio et al. 2024).

    Args:
        learning_rate: size of a step, or its course.
        beta_1: share of the old first moment (mean of the gradients) that each step keeps.
        beta_2: share of the old second moment (mean of their squares) that each step keeps.
        epsilon: small number that keeps a division from zero.
        warmup_steps: steps in which the learning rate grows from 0.
        weight_decay: share of the weights that is taken off in each step, times learning_rate.
        clipnorm: longest gradient of each weight; null is no limit.
        clipvalue: largest number in a gradient; null is no limit.
        global_clipnorm: longest gradient of all weights together; null is no limit.
        use_ema: validate, keep and end with a moving average of the weights; steps go on from themselves.
        ema_momentum: share of the old average that each step keeps.
        ema_overwrite_frequency: steps after which training goes on from the average; null is never.
        gradient_accumulation_steps: steps whose gradients are averaged into one; null is none.
        decay_vectors: weight decay for biases and norms too: what has one axis, bias, gamma, beta.
        layer_decay: multiplies the rate and the decay once for each layer further from the output (BEiT); null is 1.
    """
    import keras

    from kplug.default_plugins.keras_components.optimizer_extras import adjusted

    return adjusted(
        keras.optimizers.ScheduleFreeAdamW(
            learning_rate=learning_rate,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            warmup_steps=warmup_steps,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            gradient_accumulation_steps=gradient_accumulation_steps,
        ),
        decay_vectors,
        layer_decay,
    )


@rule(one_clipping)
def sgd(
    learning_rate: Schedule | Positive = 0.01,
    momentum: Unit = 0.0,
    nesterov: bool = False,
    weight_decay: NonNegative | None = None,
    clipnorm: Positive | None = None,
    clipvalue: Positive | None = None,
    global_clipnorm: Positive | None = None,
    use_ema: bool = False,
    ema_momentum: Unit = 0.99,
    ema_overwrite_frequency: Count | None = None,
    gradient_accumulation_steps: Several | None = None,
    decay_vectors: bool = False,
    layer_decay: OpenUnit | None = None,
) -> Optimizer:
    """Stochastic gradient descent, with or without momentum.

    Args:
        learning_rate: size of a step, or its course.
        momentum: share of the last step that is added to the next.
        nesterov: look ahead: Nesterov's momentum.
        weight_decay: share of the weights that is taken off in each step, times learning_rate.
        clipnorm: longest gradient of each weight; null is no limit.
        clipvalue: largest number in a gradient; null is no limit.
        global_clipnorm: longest gradient of all weights together; null is no limit.
        use_ema: validate, keep and end with a moving average of the weights; steps go on from themselves.
        ema_momentum: share of the old average that each step keeps.
        ema_overwrite_frequency: steps after which training goes on from the average; null is never.
        gradient_accumulation_steps: steps whose gradients are averaged into one; null is none.
        decay_vectors: weight decay for biases and norms too: what has one axis, bias, gamma, beta.
        layer_decay: multiplies the rate and the decay once for each layer further from the output (BEiT); null is 1.
    """
    import keras

    from kplug.default_plugins.keras_components.optimizer_extras import adjusted

    return adjusted(
        keras.optimizers.SGD(
            learning_rate=learning_rate,
            momentum=momentum,
            nesterov=nesterov,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            gradient_accumulation_steps=gradient_accumulation_steps,
        ),
        decay_vectors,
        layer_decay,
    )


COMPONENTS = [
    adadelta,
    adafactor,
    adagrad,
    adam,
    adamax,
    adamw,
    ftrl,
    lamb,
    lion,
    muon,
    nadam,
    rmsprop,
    schedule_free_adamw,
    sgd,
]
