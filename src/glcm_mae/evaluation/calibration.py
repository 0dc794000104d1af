"""How far probabilities can be taken at their word, and one number that mends them."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logit, softmax
from scipy.stats import norm
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM
from statsmodels.tools.sm_exceptions import PerfectSeparationWarning

from glcm_mae.evaluation.bins import cut
from glcm_mae.evaluation.cases import Cases
from glcm_mae.statistics import Interval, clustered_proportion_interval

_TINY = np.finfo(np.float64).eps

WIDEST = 20.0
"""Temperatures are sought between 1 / 20 and 20."""

_UNKNOWN = Interval(float("nan"), float("nan"), float("nan"))


def fit_temperature(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """Return the temperature [1]_ that makes the log loss least.

    Above 1 the classifier was too sure, below 1 not sure enough. Decisions by the
    highest probability stay as they are. As few images without a mistake would ask for
    boundless certainty, the loss is taken to Platt's targets [2]_: of a class with n
    images (n + 1) / (n + classes), and the rest shared by the other classes.

    Args:
        labels: Index of each true class; of the inner part, never of the test part.
        probabilities: One row an image, one column a class.

    Example:
        >>> labels = np.array([0, 1] * 800)
        >>> sure = np.where(np.eye(2)[labels] == 1, 0.99, 0.01)
        >>> sure[:400] = 1 - sure[:400]
        >>> round(fit_temperature(labels, sure), 1)  # right three times in four: p = 0.75
        4.2

    References:
        .. [1] Guo et al., 2017, arXiv:1706.04599
        .. [2] Platt, 1999, Probabilistic outputs for support vector machines
    """
    count = probabilities.shape[1]
    images = np.bincount(labels, minlength=count)
    own = ((images + 1) / (images + count))[labels, None]
    targets = np.where(np.eye(count)[labels] == 1, own, (1 - own) / (count - 1))

    def loss(log_temperature: float) -> float:
        given = with_temperature(probabilities, float(np.exp(log_temperature)))
        return float(-(targets * np.log(np.maximum(given, _TINY))).sum(axis=1).mean())

    widest = np.log(WIDEST)
    found = minimize_scalar(loss, bounds=(-widest, widest), method="bounded")
    return float(np.exp(found.x))


def with_temperature(
    probabilities: NDArray[np.float64], temperature: float
) -> NDArray[np.float64]:
    """Return the probabilities with their logits divided by a temperature.

    Example:
        >>> with_temperature(np.array([[0.9, 0.1]]), 2.0)
        array([[0.75, 0.25]])
    """
    return np.asarray(softmax(np.log(np.maximum(probabilities, _TINY)) / temperature, axis=1))


def slope_and_intercept(
    cases: Cases, clusters: NDArray[np.int64], *, confidence: float = 0.95
) -> dict[str, Interval]:
    """Return calibration slope and intercept of the positive class.

    Both come from logistic regressions of the truth on the logit of the probability.
    The slope is 1 if probabilities are as extreme as they should be, and below 1 if they
    are too extreme; the intercept, found with the slope held at 1 (calibration in the
    large), is 0 if the positive class comes as often as was said, and above if more often.

    Args:
        cases: Two classes, one of them positive.
        clusters: What each image stays together with; the intervals allow for it.
        confidence: Share of intervals that hold the true value.

    Returns:
        ``slope`` and ``intercept`` with Wald intervals from cluster-robust errors; NaN
        where all probabilities are equal, one class is missing, or the classes are
        separated without error.

    Raises:
        ValueError: If no class is the positive one.

    References:
        Van Calster et al., 2016, doi:10.1016/j.jclinepi.2015.12.005
    """
    if cases.positive is None:
        raise ValueError("slope and intercept need a positive class among two")
    truth = cases.came_true.astype(np.float64)
    given = logit(np.clip(cases.confidence, _TINY, 1 - _TINY))
    if truth.min() == truth.max():
        return {"slope": _UNKNOWN, "intercept": _UNKNOWN}
    ones = np.ones(len(truth))
    line = np.stack([ones, given], axis=1)
    flat = np.ptp(given) < 1e-12
    return {
        "slope": _UNKNOWN if flat else _coefficient(truth, line, clusters, confidence),
        "intercept": _coefficient(truth, ones[:, None], clusters, confidence, offset=given),
    }


def _coefficient(
    truth: NDArray[np.float64],
    terms: NDArray[np.float64],
    clusters: NDArray[np.int64],
    confidence: float,
    offset: NDArray[np.float64] | None = None,
) -> Interval:
    """Return the last coefficient of a logistic regression, NaN where it has none."""
    if len(np.unique(clusters)) < 2:  # one patient's images tell nothing of others
        return _UNKNOWN
    model = GLM(truth, terms, family=Binomial(), offset=offset)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", PerfectSeparationWarning)
        try:
            found = model.fit(cov_type="cluster", cov_kwds={"groups": clusters})
        except (PerfectSeparationWarning, np.linalg.LinAlgError, ValueError):
            return _UNKNOWN
    estimate, error = float(found.params[-1]), float(found.bse[-1])
    if not (found.converged and np.isfinite(error)):
        return _UNKNOWN
    half = float(norm.ppf((1 + confidence) / 2)) * error
    return Interval(estimate, estimate - half, estimate + half)


def reliability(
    cases: Cases, clusters: NDArray[np.int64], *, confidence: float = 0.95
) -> list[dict[str, Any]]:
    """Return the bins of a reliability diagram.

    With two classes they are of the probability of the positive one, with more of that
    of the class called.

    Args:
        cases: What is judged.
        clusters: What each image stays together with.
        confidence: Share of intervals that hold the true value.

    Returns:
        For each bin, from low to high: how many ``images``, their mean probability
        ``said``, and the share for which it ``came_true`` between ``low`` and ``high``.
    """
    bins, given, truth = cut(cases.confidence), cases.confidence, cases.came_true
    table = []
    for number in range(int(bins.max()) + 1):
        own = bins == number
        share = clustered_proportion_interval(truth[own], clusters[own], confidence=confidence)
        table.append(
            {
                "images": int(own.sum()),
                "said": float(given[own].mean()),
                "came_true": share.estimate,
                "low": share.low,
                "high": share.high,
            }
        )
    return table
