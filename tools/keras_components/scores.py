"""Losses and metrics of Keras in the table behind tools/keras_components/write."""

from __future__ import annotations

from keras_components.table import Entry

SMOOTHING = ("Fraction", "share of the target that is spread evenly over the classes.")
ACTIVATION = ("Literal['softmax', 'sigmoid']", "makes probabilities of the logits: one class, or each by itself.")

LOSS_PARAMETERS = {
    "label_smoothing": SMOOTHING,
    "gamma": ("NonNegative", "how strongly easy examples fade; 0 not at all."),
}


def on_probabilities(summary: str, function: str, arguments: str = "", **further: object) -> Entry:
    """A loss that Keras defines on probabilities alone."""
    return Entry(
        summary,
        add={"activation": (*ACTIVATION, "'softmax'")},
        body=f"{function}({arguments}activation)",
        imports=(("keras_components.logit_losses", function),),
        **further,  # type: ignore[arg-type]
    )


LOSSES: dict[str, Entry] = {
    "BinaryCrossentropy": Entry("Cross-entropy of each class by itself: for several labels.", leave_out=("axis",)),
    "BinaryFocalCrossentropy": Entry(
        "Cross-entropy of each class by itself, easy examples faded (Lin et al. 2017).",
        types={
            "apply_class_balancing": ("bool", "weigh ones by alpha and zeros by 1 - alpha."),
            "alpha": ("Unit", "weight of the ones where apply_class_balancing is true."),
        },
        leave_out=("axis",),
    ),
    "CategoricalCrossentropy": Entry("Cross-entropy of one class among several.", leave_out=("axis",)),
    "CategoricalFocalCrossentropy": Entry(
        "Cross-entropy of one class among several, easy examples faded (Lin et al. 2017).",
        types={"alpha": ("Positive | tuple[Positive, ...]", "weight of all classes, or of each.")},
        defaults={"alpha": "1.0"},  # Keras's 0.25 makes a quarter of cross-entropy at gamma 0
        leave_out=("axis",),
    ),
    "CategoricalGeneralizedCrossEntropy": on_probabilities(
        "Between cross-entropy and absolute error, for noisy labels (Zhang and Sabuncu 2018).",
        "generalized_cross_entropy",
        "q, ",
        types={"q": ("OpenUnit", "near 0 it is cross-entropy, 1 is absolute error.")},
    ),
    "CategoricalHinge": Entry("Margin of 1 between the true class and the best other one."),
    "CosineSimilarity": Entry("Minus the cosine between target and output.", leave_out=("axis",)),
    # over the classes or pixels of an example: Keras's default is one number for the whole batch
    "Dice": on_probabilities("1 - overlap within each example (Milletari et al. 2016).", "dice", leave_out=("axis",)),
    "Hinge": Entry("Margin of 1 for each class by itself; targets 0 and 1 are read as -1 and 1."),
    "Huber": Entry(
        "Squared error for small errors, absolute for large ones (Huber 1964).",
        types={"delta": ("Positive", "the error at which squared becomes absolute.")},
    ),
    "KLDivergence": on_probabilities("Divergence of the output's distribution from the target's.", "kl_divergence"),
    "LogCosh": Entry("Logarithm of the error's hyperbolic cosine: like Huber, smooth."),
    "MeanAbsoluteError": Entry("Mean of the absolute errors."),
    "MeanAbsolutePercentageError": Entry("Mean of the absolute errors as percentages of the target."),
    "MeanSquaredError": Entry("Mean of the squared errors."),
    "MeanSquaredLogarithmicError": Entry("Mean of the squared errors of logarithms; negative outputs count as 0."),
    # a rate is positive, and no share of 1: neither softmax nor sigmoid makes one
    "Poisson": Entry(
        "Negative log-likelihood of counts.",
        add={
            "activation": (
                "Literal['exponential', 'softplus']",
                "makes positive rates of the outputs.",
                "'exponential'",
            )
        },
        body="poisson(activation)",
        imports=(("keras_components.logit_losses", "poisson"),),
    ),
    "SquaredHinge": Entry("Square of the hinge loss; targets 0 and 1 are read as -1 and 1."),
    # Keras 3.15 exchanges alpha and beta, and takes the whole batch as one example
    "Tversky": on_probabilities(
        "Overlap that weighs false positives and negatives apart (Salehi et al. 2017).",
        "tversky",
        "alpha, beta, ",
        types={
            "alpha": ("NonNegative", "weight of the false positives."),
            "beta": ("NonNegative", "weight of the false negatives."),
        },
        leave_out=("axis",),
    ),
}

WHOLE_NUMBERS = "labels are one-hot or multi-hot floats, never class numbers"

LEFT_OUT_LOSSES = {
    "Loss": "a base class",
    "CTC": "it needs sequences of class numbers",
    "Circle": "it compares embeddings by class numbers; " + WHOLE_NUMBERS,
    "SparseCategoricalCrossentropy": WHOLE_NUMBERS,
}

# --- metrics -------------------------------------------------------------------------------------------------------

AVERAGE = ("Literal['micro', 'macro', 'weighted']", "over all decisions, over the classes, or over them by their size.")
THRESHOLD = ("Unit | None", "probability from which an example belongs to a class; null takes the most likely class.")

METRIC_PARAMETERS = {
    "label_smoothing": SMOOTHING,
    "num_thresholds": ("Several", "thresholds that are tried, evenly from 0 to 1."),
    "class_id": ("Natural | None", "number of the class that is measured; null is all together."),
    "thresholds": ("Unit | None", "probability from which an example belongs to a class; null is 0.5."),
    "top_k": ("Count | None", "only the k most likely classes count as predicted; null decides by the threshold."),
    "threshold": ("Unit", "probability from which an example belongs to a class."),
    "k": ("Count", "number of most likely classes among which the true one must be."),
    "target_class_ids": ("Classes", "numbers of the classes whose mean is reported."),
}


def over_classes(summary: str, name: str) -> Entry:
    """An IoU of one-hot rows, which is what these metrics get; the number of classes is the data's."""
    return Entry(
        summary,
        name=name,
        leave_out=("num_classes", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis"),
        passed={"num_classes": "len(data.classes)", "sparse_y_true": "False", "sparse_y_pred": "False"},
        injected={"data": "DataInfo"},
    )


def score(summary: str, **further: object) -> Entry:
    """A metric of one number: Keras's default average, None, reports one for each class."""
    types = {"average": AVERAGE, "threshold": THRESHOLD, "beta": ("Positive", "how much more recall counts.")}
    return Entry(summary, types=types, defaults={"average": "'macro'"}, **further)  # type: ignore[arg-type]


AXIS = ("axis",)

METRICS: dict[str, Entry] = {
    "AUC": Entry(
        "Area under the ROC or the precision-recall curve.",
        types={
            "curve": ("Literal['ROC', 'PR']", "receiver operating characteristic, or precision over recall."),
            "summation_method": (
                "Literal['interpolation', 'minoring', 'majoring']",
                "between two thresholds: interpolate, take the smaller or the larger value.",
            ),
            "thresholds": ("tuple[Unit, ...] | None", "thresholds that are tried instead of num_thresholds."),
            "multi_label": ("bool", "the mean of an area for each class, instead of one over all decisions."),
        },
        leave_out=("num_labels", "label_weights"),  # the data's own; arrays
    ),
    "BinaryAccuracy": Entry("Share of the right decisions, each class by itself."),
    "BinaryCrossentropy": Entry("Cross-entropy of each class by itself."),
    "BinaryIoU": Entry(
        "Intersection over union of the decisions 0 and 1.",
        name="binary_iou",
        types={"target_class_ids": ("tuple[Literal[0, 1], ...]", "the decisions whose mean is reported.")},
    ),
    "CategoricalAccuracy": Entry("Share of the examples whose most likely class is the true one."),
    "CategoricalCrossentropy": Entry("Cross-entropy of one class among several.", leave_out=AXIS),
    "CategoricalHinge": Entry("Margin of 1 between the true class and the best other one."),
    "ConcordanceCorrelation": Entry("Concordance of target and output: correlation, scale and offset.", leave_out=AXIS),
    "CosineSimilarity": Entry("Cosine between target and output.", leave_out=AXIS),
    "F1Score": score("Harmonic mean of precision and recall."),
    "FBetaScore": score("Harmonic mean of precision and recall, recall counting beta times.", name="fbeta_score"),
    "FalseNegatives": Entry("Number of ones that were decided as zeros."),
    "FalsePositives": Entry("Number of zeros that were decided as ones."),
    "Hinge": Entry("Margin of 1 for each class by itself; targets 0 and 1 are read as -1 and 1."),
    "IoU": over_classes("Intersection over union of chosen classes.", "iou"),
    "KLDivergence": Entry("Divergence of the output's distribution from the target's."),
    "LogCoshError": Entry("Mean logarithm of the error's hyperbolic cosine."),
    "MeanAbsoluteError": Entry("Mean of the absolute errors."),
    "MeanAbsolutePercentageError": Entry("Mean of the absolute errors as percentages of the target."),
    "MeanIoU": over_classes("Mean of the classes' intersection over union.", "mean_iou"),
    "MeanSquaredError": Entry("Mean of the squared errors: of probabilities, the Brier score."),
    "MeanSquaredLogarithmicError": Entry("Mean of the squared errors of logarithms."),
    "PearsonCorrelation": Entry("Linear correlation of target and output within each example.", leave_out=AXIS),
    "Poisson": Entry("Negative log-likelihood of counts, the outputs being rates."),
    "Precision": Entry("Share of the predicted ones that are ones."),
    "PrecisionAtRecall": Entry(
        "Best precision among the thresholds that reach a recall.", types={"recall": ("Unit", "recall to reach.")}
    ),
    "R2Score": Entry(
        "Share of the targets' variance that the outputs explain.",
        types={
            # None reports one number for each class
            "class_aggregation": (
                "Literal['uniform_average', 'variance_weighted_average']",
                "mean over the outputs, or weighted by their variance.",
            ),
            "num_regressors": ("Natural", "variables of the model, for the adjusted score; 0 is the plain one."),
        },
    ),
    "Recall": Entry("Share of the ones that are predicted."),
    "RecallAtPrecision": Entry(
        "Best recall among the thresholds that reach a precision.", types={"precision": ("Unit", "precision to reach.")}
    ),
    "RootMeanSquaredError": Entry("Root of the mean of the squared errors."),
    "SensitivityAtSpecificity": Entry(
        "Best sensitivity among the thresholds that reach a specificity.",
        types={"specificity": ("Unit", "specificity to reach.")},
    ),
    "SpecificityAtSensitivity": Entry(
        "Best specificity among the thresholds that reach a sensitivity.",
        types={"sensitivity": ("Unit", "sensitivity to reach.")},
    ),
    "SquaredHinge": Entry("Square of the hinge; targets 0 and 1 are read as -1 and 1."),
    "TopKCategoricalAccuracy": Entry("Share of the examples whose true class is among the most likely."),
    "TrueNegatives": Entry("Number of zeros that were decided as zeros."),
    "TruePositives": Entry("Number of ones that were decided as ones."),
}

LEFT_OUT_METRICS = {
    "Metric": "a base class",
    "MeanMetricWrapper": "it takes a function",
    "Mean": "of values, not of targets and outputs",
    "Sum": "of values, not of targets and outputs",
    "Accuracy": "it asks whether floats are equal; kplug's own `accuracy` compares classes",
    "OneHotIoU": "`iou` takes one-hot rows here",
    "OneHotMeanIoU": "`mean_iou` takes one-hot rows here",
    "SparseCategoricalAccuracy": WHOLE_NUMBERS,
    "SparseCategoricalCrossentropy": WHOLE_NUMBERS,
    "SparseTopKCategoricalAccuracy": WHOLE_NUMBERS,
}
