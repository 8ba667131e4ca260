"""Metrics of Keras: float one-hot or multi-hot targets, and probabilities.

Written by tools/keras_components/write from Keras 3.15; do not edit.
"""

from typing import Literal

from kplug.default_plugins.keras_components.types import Classes, Several
from kplug.kinds import Count, Fraction, Metric, Natural, Positive, Unit
from kplug.records import DataInfo


def auc(
    num_thresholds: Several = 200,
    curve: Literal["ROC", "PR"] = "ROC",
    summation_method: Literal["interpolation", "minoring", "majoring"] = "interpolation",
    thresholds: tuple[Unit, ...] | None = None,
    multi_label: bool = False,
) -> Metric:
    """Area under the ROC or the precision-recall curve.

    Args:
        num_thresholds: thresholds that are tried, evenly from 0 to 1.
        curve: receiver operating characteristic, or precision over recall.
        summation_method: between two thresholds: interpolate, take the smaller or the larger value.
        thresholds: thresholds that are tried instead of num_thresholds.
        multi_label: the mean of an area for each class, instead of one over all decisions.
    """
    import keras

    return keras.metrics.AUC(
        num_thresholds=num_thresholds,
        curve=curve,
        summation_method=summation_method,
        thresholds=thresholds,
        multi_label=multi_label,
        name="auc",
    )


def binary_accuracy(threshold: Unit = 0.5) -> Metric:
    """Share of the right decisions, each class by itself.

    Args:
        threshold: probability from which an example belongs to a class.
    """
    import keras

    return keras.metrics.BinaryAccuracy(threshold=threshold, name="binary_accuracy")


def binary_crossentropy(label_smoothing: Fraction = 0) -> Metric:
    """Cross-entropy of each class by itself.

    Args:
        label_smoothing: share of the target that is spread evenly over the classes.
    """
    import keras

    return keras.metrics.BinaryCrossentropy(label_smoothing=label_smoothing, name="binary_crossentropy")


def binary_iou(target_class_ids: tuple[Literal[0, 1], ...] = (0, 1), threshold: Unit = 0.5) -> Metric:
    """Intersection over union of the decisions 0 and 1.

    Args:
        target_class_ids: the decisions whose mean is reported.
        threshold: probability from which an example belongs to a class.
    """
    import keras

    return keras.metrics.BinaryIoU(target_class_ids=target_class_ids, threshold=threshold, name="binary_iou")


def categorical_accuracy() -> Metric:
    """Share of the examples whose most likely class is the true one."""
    import keras

    return keras.metrics.CategoricalAccuracy(name="categorical_accuracy")


def categorical_crossentropy(label_smoothing: Fraction = 0) -> Metric:
    """Cross-entropy of one class among several.

    Args:
        label_smoothing: share of the target that is spread evenly over the classes.
    """
    import keras

    return keras.metrics.CategoricalCrossentropy(label_smoothing=label_smoothing, name="categorical_crossentropy")


def categorical_hinge() -> Metric:
    """Margin of 1 between the true class and the best other one."""
    import keras

    return keras.metrics.CategoricalHinge(name="categorical_hinge")


def concordance_correlation() -> Metric:
    """Concordance of target and output: correlation, scale and offset."""
    import keras

    return keras.metrics.ConcordanceCorrelation(name="concordance_correlation")


def cosine_similarity() -> Metric:
    """Cosine between target and output."""
    import keras

    return keras.metrics.CosineSimilarity(name="cosine_similarity")


def f1_score(average: Literal["micro", "macro", "weighted"] = "macro", threshold: Unit | None = None) -> Metric:
    """Harmonic mean of precision and recall.

    Args:
        average: over all decisions, over the classes, or over them by their size.
        threshold: probability from which an example belongs to a class; null takes the most likely class.
    """
    import keras

    return keras.metrics.F1Score(average=average, threshold=threshold, name="f1_score")


def false_negatives(thresholds: Unit | None = None) -> Metric:
    """Number of ones that were decided as zeros.

    Args:
        thresholds: probability from which an example belongs to a class; null is 0.5.
    """
    import keras

    return keras.metrics.FalseNegatives(thresholds=thresholds, name="false_negatives")


def false_positives(thresholds: Unit | None = None) -> Metric:
    """Number of zeros that were decided as ones.

    Args:
        thresholds: probability from which an example belongs to a class; null is 0.5.
    """
    import keras

    return keras.metrics.FalsePositives(thresholds=thresholds, name="false_positives")


def fbeta_score(
    average: Literal["micro", "macro", "weighted"] = "macro", beta: Positive = 1.0, threshold: Unit | None = None
) -> Metric:
    """Harmonic mean of precision and recall, recall counting beta times.

    Args:
        average: over all decisions, over the classes, or over them by their size.
        beta: how much more recall counts.
        threshold: probability from which an example belongs to a class; null takes the most likely class.
    """
    import keras

    return keras.metrics.FBetaScore(average=average, beta=beta, threshold=threshold, name="fbeta_score")


def hinge() -> Metric:
    """Margin of 1 for each class by itself; targets 0 and 1 are read as -1 and 1."""
    import keras

    return keras.metrics.Hinge(name="hinge")


def iou(target_class_ids: Classes, data: DataInfo) -> Metric:
    """Intersection over union of chosen classes.

    Args:
        target_class_ids: numbers of the classes whose mean is reported.
    """
    import keras

    return keras.metrics.IoU(
        target_class_ids=target_class_ids,
        name="iou",
        num_classes=len(data.classes),
        sparse_y_true=False,
        sparse_y_pred=False,
    )


def kl_divergence() -> Metric:
    """Divergence of the output's distribution from the target's."""
    import keras

    return keras.metrics.KLDivergence(name="kl_divergence")


def log_cosh_error() -> Metric:
    """Mean logarithm of the error's hyperbolic cosine."""
    import keras

    return keras.metrics.LogCoshError(name="log_cosh_error")


def mean_absolute_error() -> Metric:
    """Mean of the absolute errors."""
    import keras

    return keras.metrics.MeanAbsoluteError(name="mean_absolute_error")


def mean_absolute_percentage_error() -> Metric:
    """Mean of the absolute errors as percentages of the target."""
    import keras

    return keras.metrics.MeanAbsolutePercentageError(name="mean_absolute_percentage_error")


def mean_iou(data: DataInfo) -> Metric:
    """Mean of the classes' intersection over union."""
    import keras

    return keras.metrics.MeanIoU(
        name="mean_iou", num_classes=len(data.classes), sparse_y_true=False, sparse_y_pred=False
    )


def mean_squared_error() -> Metric:
    """Mean of the squared errors: of probabilities, the Brier score."""
    import keras

    return keras.metrics.MeanSquaredError(name="mean_squared_error")


def mean_squared_logarithmic_error() -> Metric:
    """Mean of the squared errors of logarithms."""
    import keras

    return keras.metrics.MeanSquaredLogarithmicError(name="mean_squared_logarithmic_error")


def pearson_correlation() -> Metric:
    """Linear correlation of target and output within each example."""
    import keras

    return keras.metrics.PearsonCorrelation(name="pearson_correlation")


def poisson() -> Metric:
    """Negative log-likelihood of counts, the outputs being rates."""
    import keras

    return keras.metrics.Poisson(name="poisson")


def precision(thresholds: Unit | None = None, top_k: Count | None = None, class_id: Natural | None = None) -> Metric:
    """Share of the predicted ones that are ones.

    Args:
        thresholds: probability from which an example belongs to a class; null is 0.5.
        top_k: only the k most likely classes count as predicted; null decides by the threshold.
        class_id: number of the class that is measured; null is all together.
    """
    import keras

    return keras.metrics.Precision(thresholds=thresholds, top_k=top_k, class_id=class_id, name="precision")


def precision_at_recall(recall: Unit, num_thresholds: Several = 200, class_id: Natural | None = None) -> Metric:
    """Best precision among the thresholds that reach a recall.

    Args:
        recall: recall to reach.
        num_thresholds: thresholds that are tried, evenly from 0 to 1.
        class_id: number of the class that is measured; null is all together.
    """
    import keras

    return keras.metrics.PrecisionAtRecall(
        recall=recall, num_thresholds=num_thresholds, class_id=class_id, name="precision_at_recall"
    )


def r2_score(
    class_aggregation: Literal["uniform_average", "variance_weighted_average"] = "uniform_average",
    num_regressors: Natural = 0,
) -> Metric:
    """Share of the targets' variance that the outputs explain.

    Args:
        class_aggregation: mean over the outputs, or weighted by their variance.
        num_regressors: variables of the model, for the adjusted score; 0 is the plain one.
    """
    import keras

    return keras.metrics.R2Score(class_aggregation=class_aggregation, num_regressors=num_regressors, name="r2_score")


def recall(thresholds: Unit | None = None, top_k: Count | None = None, class_id: Natural | None = None) -> Metric:
    """Share of the ones that are predicted.

    Args:
        thresholds: probability from which an example belongs to a class; null is 0.5.
        top_k: only the k most likely classes count as predicted; null decides by the threshold.
        class_id: number of the class that is measured; null is all together.
    """
    import keras

    return keras.metrics.Recall(thresholds=thresholds, top_k=top_k, class_id=class_id, name="recall")


def recall_at_precision(precision: Unit, num_thresholds: Several = 200, class_id: Natural | None = None) -> Metric:
    """Best recall among the thresholds that reach a precision.

    Args:
        precision: precision to reach.
        num_thresholds: thresholds that are tried, evenly from 0 to 1.
        class_id: number of the class that is measured; null is all together.
    """
    import keras

    return keras.metrics.RecallAtPrecision(
        precision=precision, num_thresholds=num_thresholds, class_id=class_id, name="recall_at_precision"
    )


def root_mean_squared_error() -> Metric:
    """Root of the mean of the squared errors."""
    import keras

    return keras.metrics.RootMeanSquaredError(name="root_mean_squared_error")


def sensitivity_at_specificity(
    specificity: Unit, num_thresholds: Several = 200, class_id: Natural | None = None
) -> Metric:
    """Best sensitivity among the thresholds that reach a specificity.

    Args:
        specificity: specificity to reach.
        num_thresholds: thresholds that are tried, evenly from 0 to 1.
        class_id: number of the class that is measured; null is all together.
    """
    import keras

    return keras.metrics.SensitivityAtSpecificity(
        specificity=specificity, num_thresholds=num_thresholds, class_id=class_id, name="sensitivity_at_specificity"
    )


def specificity_at_sensitivity(
    sensitivity: Unit, num_thresholds: Several = 200, class_id: Natural | None = None
) -> Metric:
    """Best specificity among the thresholds that reach a sensitivity.

    Args:
        sensitivity: sensitivity to reach.
        num_thresholds: thresholds that are tried, evenly from 0 to 1.
        class_id: number of the class that is measured; null is all together.
    """
    import keras

    return keras.metrics.SpecificityAtSensitivity(
        sensitivity=sensitivity, num_thresholds=num_thresholds, class_id=class_id, name="specificity_at_sensitivity"
    )


def squared_hinge() -> Metric:
    """Square of the hinge; targets 0 and 1 are read as -1 and 1."""
    import keras

    return keras.metrics.SquaredHinge(name="squared_hinge")


def top_k_categorical_accuracy(k: Count = 5) -> Metric:
    """Share of the examples whose true class is among the most likely.

    Args:
        k: number of most likely classes among which the true one must be.
    """
    import keras

    return keras.metrics.TopKCategoricalAccuracy(k=k, name="top_k_categorical_accuracy")


def true_negatives(thresholds: Unit | None = None) -> Metric:
    """Number of zeros that were decided as zeros.

    Args:
        thresholds: probability from which an example belongs to a class; null is 0.5.
    """
    import keras

    return keras.metrics.TrueNegatives(thresholds=thresholds, name="true_negatives")


def true_positives(thresholds: Unit | None = None) -> Metric:
    """Number of ones that were decided as ones.

    Args:
        thresholds: probability from which an example belongs to a class; null is 0.5.
    """
    import keras

    return keras.metrics.TruePositives(thresholds=thresholds, name="true_positives")


COMPONENTS = [
    auc,
    binary_accuracy,
    binary_crossentropy,
    binary_iou,
    categorical_accuracy,
    categorical_crossentropy,
    categorical_hinge,
    concordance_correlation,
    cosine_similarity,
    f1_score,
    false_negatives,
    false_positives,
    fbeta_score,
    hinge,
    iou,
    kl_divergence,
    log_cosh_error,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_iou,
    mean_squared_error,
    mean_squared_logarithmic_error,
    pearson_correlation,
    poisson,
    precision,
    precision_at_recall,
    r2_score,
    recall,
    recall_at_precision,
    root_mean_squared_error,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
    squared_hinge,
    top_k_categorical_accuracy,
    true_negatives,
    true_positives,
]
