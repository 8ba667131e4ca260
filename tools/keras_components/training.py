"""Optimizers, schedules and callbacks of Keras in the table behind tools/keras_components/write."""

from __future__ import annotations

import dataclasses

from keras_components.table import Entry

DECAY = "share of the old {} that each step keeps."
OPTIMIZER_PARAMETERS = {
    "learning_rate": ("Schedule | Positive", "size of a step, or its course."),
    "weight_decay": ("NonNegative | None", "share of the weights that is taken off in each step, times learning_rate."),
    "clipnorm": ("Positive | None", "longest gradient of each weight; null is no limit."),
    "clipvalue": ("Positive | None", "largest number in a gradient; null is no limit."),
    "global_clipnorm": ("Positive | None", "longest gradient of all weights together; null is no limit."),
    "use_ema": ("bool", "validate, keep and end with a moving average of the weights; steps go on from themselves."),
    "ema_momentum": ("Unit", "share of the old average that each step keeps."),
    "ema_overwrite_frequency": (
        "Count | None",
        "steps after which training goes on from the average; null is never.",
    ),
    "gradient_accumulation_steps": ("Several | None", "steps whose gradients are averaged into one; null is none."),
    "beta_1": ("Fraction", DECAY.format("first moment (mean of the gradients)")),
    "beta_2": ("Fraction", DECAY.format("second moment (mean of their squares)")),
    "adam_beta_1": ("Fraction", DECAY.format("first moment, where Adam steps")),
    "adam_beta_2": ("Fraction", DECAY.format("second moment, where Adam steps")),
    "rho": ("Fraction", DECAY.format("mean of squared gradients")),
    "momentum": ("Unit", "share of the last step that is added to the next."),
    "nesterov": ("bool", "look ahead: Nesterov's momentum."),
    "epsilon": ("Positive", "small number that keeps a division from zero."),
    "amsgrad": ("bool", "never let the second moment shrink (Reddi et al. 2018)."),
    "initial_accumulator_value": ("NonNegative", "what the sum of squared gradients starts with."),
}

OPTIMIZERS: dict[str, Entry] = {
    "Adadelta": Entry("Steps scaled by a window of past gradients and steps (Zeiler 2012)."),
    "Adafactor": Entry(
        "Adam with a second moment kept as rows and columns, to save memory (Shazeer and Stern 2018).",
        types={
            "beta_2_decay": ("Negative", "exponent with which the second moment's memory grows."),
            "epsilon_1": ("Positive", "small number added to squared gradients."),
            "epsilon_2": ("Positive", "smallest scale of a weight, which scales its step."),
            "clip_threshold": ("Positive", "root mean square beyond which a step is shortened."),
            "relative_step": ("bool", "limit the step size by the inverse root of the step number."),
        },
    ),
    "Adagrad": Entry("Steps scaled by the sum of all squared gradients (Duchi et al. 2011)."),
    "Adam": Entry("Steps from the first two moments of the gradient (Kingma and Ba 2015)."),
    "AdamW": Entry("Adam with weight decay apart from the gradient (Loshchilov and Hutter 2019).", name="adamw"),
    "Adamax": Entry("Adam with the largest gradient for the second moment (Kingma and Ba 2015)."),
    "Ftrl": Entry(
        "Follow the regularized leader (McMahan et al. 2013).",
        types={
            "learning_rate_power": ("Negative", "exponent with which the step shrinks."),
            "l1_regularization_strength": ("NonNegative", "weight of the sum of absolute values."),
            "l2_regularization_strength": ("NonNegative", "weight of the sum of squares."),
            "l2_shrinkage_regularization_strength": (
                "NonNegative",
                "weight of the sum of squares, in the gradient alone.",
            ),
            "beta": ("NonNegative", "the paper's beta: added to the root of the squared gradients' sum."),
        },
    ),
    "Lamb": Entry("Adam with a step for each layer scaled to its weights, for large batches (You et al. 2020)."),
    "Lion": Entry("Steps by the sign of the momentum (Chen et al. 2023)."),
    "Muon": Entry(
        "Momentum made orthogonal for matrices, Adam for the rest (Jordan et al. 2024).",
        types={
            "adam_weight_decay": ("NonNegative | None", "weight decay where Adam steps."),
            "exclude_layers": ("tuple[Text, ...] | None", "regular expressions of weight paths that Adam takes."),
            "exclude_embeddings": ("bool", "Adam takes embeddings."),
            "muon_a": ("float", "first coefficient of the Newton-Schulz iteration."),
            "muon_b": ("float", "second coefficient of the Newton-Schulz iteration."),
            "muon_c": ("float", "third coefficient of the Newton-Schulz iteration."),
            "adam_lr_ratio": ("Positive", "learning rate of Adam as a multiple of learning_rate."),
            "ns_steps": ("Count", "Newton-Schulz iterations a step."),
            "rms_rate": (
                "Positive | None",
                "root mean square that an orthogonal step is scaled to; null does not scale.",
            ),
        },
    ),
    "Nadam": Entry("Adam with Nesterov's momentum (Dozat 2016)."),
    "RMSprop": Entry(
        "Steps scaled by the recent size of the gradient (Tieleman and Hinton 2012).",
        name="rmsprop",  # the field's spelling; Keras's is rm_sprop
        types={"centered": ("bool", "scale by the variance instead of the mean square.")},
    ),
    "SGD": Entry("Stochastic gradient descent, with or without momentum."),
    "ScheduleFreeAdamW": Entry(
        "AdamW that needs no schedule: it averages its path (Defazio et al. 2024).",
        name="schedule_free_adamw",
        types={"warmup_steps": ("Natural", "steps in which the learning rate grows from 0.")},
    ),
}

# what kplug adds to each of them
ADJUSTMENTS = {
    "decay_vectors": ("bool", "weight decay for biases and norms too: what has one axis, bias, gamma, beta.", "False"),
    "layer_decay": (
        "OpenUnit | None",
        "multiplies the rate and the decay once for each layer further from the output (BEiT); null is 1.",
        "None",
    ),
}
OPTIMIZERS = {
    name: dataclasses.replace(
        entry,
        add=ADJUSTMENTS,
        body="adjusted({call}, decay_vectors, layer_decay)",
        imports=(("keras_components.optimizer_extras", "adjusted"),),
    )
    for name, entry in OPTIMIZERS.items()
}

LEFT_OUT_OPTIMIZERS = {
    "Optimizer": "a base class",
    "LossScaleOptimizer": "the host's precision decides",
    "MultiOptimizer": "it maps variables of a model that is not there yet to optimizers",
    "OptimizerMap": "a part of MultiOptimizer",
}

# --- schedules -----------------------------------------------------------------------------------------------------

SCHEDULE_PARAMETERS = {
    "initial_learning_rate": ("NonNegative", "learning rate of the first step."),
    "decay_steps": ("Count", "steps in which the rate falls by one decay_rate."),
    "decay_rate": ("Positive", "what the rate falls by."),
    "staircase": ("bool", "fall at once every decay_steps instead of little by little."),
    "alpha": ("Unit", "last learning rate as a share of the highest."),
}
TO_THE_END = ("Count | None", "steps of the fall; null is to the end of the training.")

# decay_steps needs a number in Keras; here the training's length is known
SCHEDULES: dict[str, Entry] = {
    "CosineDecay": Entry(
        "Falls along half a cosine, after a linear rise if wanted (Loshchilov and Hutter 2017).",
        types={
            "decay_steps": TO_THE_END,
            "warmup_target": ("Positive | None", "learning rate at the end of the rise; null is no rise."),
            "warmup_steps": ("Natural", "steps of the rise."),
        },
        defaults={"decay_steps": "None"},
        passed={"decay_steps": "decay_steps or max(fit.steps - warmup_steps, 1)"},
        injected={"fit": "FitInfo"},
    ),
    "CosineDecayRestarts": Entry(
        "Falls along half a cosine again and again (Loshchilov and Hutter 2017).",
        types={
            "first_decay_steps": ("Count", "steps of the first fall."),
            "t_mul": ("Positive", "how many times longer each fall is than the last."),
            "m_mul": ("Positive", "how many times higher each fall starts than the last."),
        },
    ),
    "ExponentialDecay": Entry("Falls to the same share again and again."),
    "InverseTimeDecay": Entry("Falls like one over the time."),
    "PiecewiseConstantDecay": Entry(
        "Stays at one value until a step, then at the next.",
        types={
            "boundaries": ("tuple[Count, ...]", "steps after which the next value holds."),
            "values": ("tuple[NonNegative, ...]", "learning rates: one more than boundaries."),
        },
        rules=("values_between",),
    ),
    "PolynomialDecay": Entry(
        "Falls along a power of the remaining time; 1 is a straight line.",
        types={
            "decay_steps": TO_THE_END,
            "end_learning_rate": ("NonNegative", "learning rate of the last step."),
            "power": ("Positive", "exponent of the remaining time."),
            "cycle": ("bool", "start again after each fall."),
        },
        defaults={"decay_steps": "None"},
        passed={"decay_steps": "decay_steps or fit.steps"},
        injected={"fit": "FitInfo"},
    ),
}

LEFT_OUT_SCHEDULES = {"LearningRateSchedule": "a base class"}

# --- callbacks -----------------------------------------------------------------------------------------------------

CALLBACK_PARAMETERS = {
    "monitor": ("MetricName", "name of the number that is watched, as in the metrics of an epoch."),
    "mode": ("Literal['auto', 'min', 'max']", "whether it should fall or rise; auto asks the metric."),
    "min_delta": ("NonNegative", "smallest change that counts as better."),
}

CALLBACKS: dict[str, Entry] = {
    "EarlyStopping": Entry(
        "Ends the training when a number has stopped getting better.",
        types={
            "patience": ("Natural", "epochs without a better value that are waited for."),
            "baseline": ("float | None", "value that must be beaten; null is none."),
            "start_from_epoch": ("Natural", "epochs at the start that do not count."),
        },
        leave_out=("verbose", "restore_best_weights"),  # the run keeps the best weights (fit.best)
        body="EarlyStopping({arguments})",
        imports=(("keras_components.resumable_callbacks", "EarlyStopping"),),
    ),
    "ReduceLROnPlateau": Entry(
        "Lowers the learning rate, or what is left of a schedule, when a number has stopped getting better.",
        name="reduce_lr_on_plateau",
        types={
            "factor": ("Fraction", "what the learning rate, and all later ones of a schedule, are multiplied by."),
            "patience": ("Natural", "epochs without a better value that are waited for, after a schedule's warm-up."),
            "cooldown": ("Natural", "epochs after a change that do not count."),
            "min_lr": ("NonNegative", "lowest learning rate."),
        },
        leave_out=("verbose",),
        body="ReduceLROnPlateau({arguments})",
        imports=(("keras_components.resumable_callbacks", "ReduceLROnPlateau"),),
    ),
    "TerminateOnNaN": Entry(
        "Ends the training when the loss is no number.",
        name="terminate_on_nan",
        types={"raise_error": ("bool", "fail instead of ending.")},
    ),
}

FILES = "the host writes the files of a run"

LEFT_OUT_CALLBACKS = {
    "Callback": "a base class",
    "CallbackList": "Keras's own",
    "History": "Keras's own",
    "ProgbarLogger": "the host reports progress",
    "BackupAndRestore": FILES,
    "CSVLogger": FILES,
    "ModelCheckpoint": FILES,
    "OrbaxCheckpoint": FILES,
    "TensorBoard": FILES,
    "LambdaCallback": "it takes functions",
    "LearningRateScheduler": "it takes a function; schedules do this",
    "RemoteMonitor": "it sends to a server",
    "SwapEMAWeights": "it exchanges the weights at the end of an epoch, when the checkpoint is written",
}
