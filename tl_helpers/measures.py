"""Numbers about transfer: what it gained, what could be known beforehand, how alike two networks see.

Taught in: chapters 1 (Background) and 2 (Core concepts), chapters 3 to 3.7, 4 (Worked example) and 7 (Your own
photographs).
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg, optimize

# NAME as NAME: what chapters and the other modules read as measures.NAME
from tl_base.intervals import Floats, as_numbers
from tl_base.intervals import Interval as Interval
from tl_base.intervals import crossing as crossing
from tl_base.intervals import half_width as half_width
from tl_base.intervals import mean_interval as mean_interval
from tl_base.intervals import paired_interval as paired_interval
from tl_base.intervals import ratio_interval as ratio_interval
from tl_base.shares import MeasureError as MeasureError
from tl_base.shares import quantile as quantile
from tl_base.shares import wilson as wilson


def negative_transfer_gap(with_source: ArrayLike, without_source: ArrayLike, confidence: float = 0.95) -> Interval:
    """Estimate the negative-transfer gap: by how much the source raises the error on the target.

    NTG = err(A(S, T)) − err(A(∅, T)): the error of one algorithm A with the source S and the target data T, less its
    error with the target data alone. Above 0 the source hurts, which is negative transfer; below 0 it helps.

    Parameters
    ----------
    with_source, without_source : sequence of float in [0, 1], equal length
        Accuracy on the target, one value a seed, in the same order of seeds. The error is 1 − accuracy.
    confidence : float
        As for `paired_interval`.

    Returns
    -------
    Interval
        Of the gap, as a share of the images. Where it includes 0, the seeds do not tell help from harm.

    Raises
    ------
    MeasureError
        If an accuracy lies outside [0, 1], and as for `paired_interval`.

    References
    ----------
    Wang et al. (2019), Characterizing and avoiding negative transfer, section 3; the interval over seeds is ours. *The
    same algorithm* matters: a tuned method against an untuned baseline measures the tuning. Taught in: chapter 2 (Core
    concepts).
    """
    accuracies = [as_numbers(with_source), as_numbers(without_source)]
    for values in accuracies:
        if ((values < 0) | (values > 1)).any():
            raise MeasureError("An accuracy lies outside [0, 1]. Give shares, not percentages and not errors.")
    return paired_interval(1 - accuracies[0], 1 - accuracies[1], confidence)


def leep(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Score a source classifier for a target task from its outputs on target images: LEEP.

    A source class z goes with target class y as often as P(y | z) = P(y, z) / P(z), where P(y, z) averages the source's
    probability of z over the images labelled y. LEEP is the mean log-likelihood of the labels under the classifier that
    draws z from the source's output and then y from P(y | z).

    Parameters
    ----------
    probabilities : ndarray, shape (N, Z), float
        The source classifier's probabilities (not logits) of its own Z classes for N target images. Each row sums to 1.
    labels : ndarray, shape (N,), int
        The images' target classes, counted from 0.

    Returns
    -------
    float
        In nats an image, at most 0; higher is better. A source whose output is the same for all images scores minus
        the entropy of the labels, so compare scores only on the same images and labels.

    Raises
    ------
    MeasureError
        If shapes, labels or probabilities are not as above, or there are fewer than two target classes.

    References
    ----------
    Nguyen et al. (2020), LEEP, equations 1 (P(y, z)) and 2 (the score). It sees a source through its output alone: it
    scores source *models or checkpoints*, and so cannot choose a layer; `logme` can. It also reads how sure the source
    is, not only how right: another temperature gives another score. Taught in: chapter 3 (The
    three methods).
    """
    probabilities = _matrix(probabilities, "probabilities", "Z source classes")
    targets = _one_hot(labels, len(probabilities))
    sums = probabilities.sum(axis=1, keepdims=True)
    if probabilities.min() < 0 or np.abs(sums - 1).max() > 1e-3:
        raise MeasureError("Each row must be probabilities that sum to 1. Apply softmax to logits first.")
    shares = probabilities / sums  # float32 leaves sums of 1 ± 1e-6, which would lift a perfect score above 0
    joint = targets.T @ shares / len(targets)
    marginal = joint.sum(axis=0)
    conditional = np.divide(joint, marginal, out=np.zeros_like(joint), where=marginal > 0)
    likelihood = ((targets @ conditional) * shares).sum(axis=1)
    return float(np.log(likelihood).mean())


def logme(features: ArrayLike, labels: ArrayLike) -> float:
    """Score features for a target task: LogME, the maximised log evidence of a Bayesian linear model.

    The model is y = F·w + noise, w ~ N(0, 1/α), noise ~ N(0, 1/β), for each class against the rest with y in {0, 1}.
    Its evidence is p(y | F, α, β) with w integrated out, so features that could fit any labels earn nothing for it.

    Parameters
    ----------
    features : ndarray, shape (N, D), float
        One layer's activations for N target images. N < D is as good as N > D.
    labels : ndarray, shape (N,), int
        The images' target classes, counted from 0.

    Returns
    -------
    float
        The maximum over α and β of log p(y | F, α, β) / N, in nats an image, averaged over the classes that occur;
        higher is better. It may be positive, being a density. Compare scores only on the same images and labels.

    Raises
    ------
    MeasureError
        If shapes or labels are not as above, there are fewer than two classes, all features are 0, or a class is
        an exact linear function of features of rank below N: its evidence has no maximum.

    References
    ----------
    You et al. (2021), LogME, equation 2 and section 4. It needs features alone and no source labels, so it can rank
    layers. Their iteration for α and β ends in the lower one of two maxima for some features. Here the best β is
    substituted, and α/β is searched over its whole range. With fewer images than features the authors' program gives
    another number: of the D terms −½ log(α + βσ), one for each eigenvalue σ of FᵀF, it counts the N that are not 0,
    beside D/2 · log α in full. So its score is (D − N)/(2N) · log α too high, and grows with the number of features.
    Taught in: chapters 3.1 (Feature extraction) and 3.5 (Knowledge transfer).
    """
    features = _matrix(features, "features", "D features")
    targets = _one_hot(labels, len(features))
    if not features.any():
        raise MeasureError("All features are 0: the layer is dead, there is nothing to score.")
    left, eigenvalues = _left_spectrum(features)
    projections = left.T @ targets
    residuals = ((targets - left @ projections) ** 2).sum(axis=0)
    if len(eigenvalues) < len(features) and (residuals < 1e-20 * targets.sum(axis=0)).any():
        raise MeasureError(
            f"A class is an exact linear function of the features (rank {len(eigenvalues)}, {len(features)} images): "
            "the evidence grows without bound. Leave out repeated images, or give more images."
        )
    scores = _max_log_evidence(eigenvalues, projections**2, residuals, len(features))
    return float(scores.mean() / len(features))


def _left_spectrum(features: Floats) -> tuple[Floats, Floats]:
    """Find FFᵀ's eigenvectors, shape (N, rank), and eigenvalues, as shares of the largest, from the SVD of F."""
    # With N < D, a rotation of the features' axes leaves N columns; the (N, D) right singular vectors never exist.
    wide = features.shape[0] < features.shape[1]
    square = np.asarray(np.linalg.qr(features.T, mode="r")).T if wide else features
    left, singular, _ = linalg.svd(square, full_matrices=False)
    kept = singular > singular[0] * max(features.shape) * np.finfo("float64").eps
    return left[:, kept], (singular[kept] / singular[0]) ** 2


def _max_log_evidence(eigenvalues: Floats, powers: Floats, residuals: Floats, count: int) -> Floats:
    """Maximise the log evidence over α and β for each class, shape (classes,).

    With y's covariance (I + FFᵀ/t)/β, t = α/β, and FFᵀ's eigenvalues in (0, 1], the best β is N / yᵀ(I + FFᵀ/t)⁻¹y.
    What remains is a function of log t alone. It can have several maxima or rise to a limit at either end, hence a grid
    that reaches far beyond all eigenvalues, then a search around its best point.
    """

    def evidence(log_t: Floats, powers: Floats, residuals: Floats) -> Floats:
        t = np.exp(log_t)
        spread = eigenvalues[:, None] + t
        misfit = powers.T @ (1 / spread) + residuals[:, None] / t  # yᵀ(I + FFᵀ/t)⁻¹y / t
        volume = np.log(spread).sum(axis=0) + (count - len(eigenvalues)) * log_t  # log|tI + FFᵀ|
        return -0.5 * (count * (np.log(2 * np.pi * misfit / count) + 1) + volume)

    grid = np.arange(np.log(eigenvalues[-1]) - 50, 30, 0.25)
    best = grid[evidence(grid, powers, residuals).argmax(axis=1)]

    def refine(start: float, power: Floats, residual: float) -> float:
        def loss(log_t: float) -> float:
            return -evidence(np.array([log_t]), power[:, None], np.array([residual]))[0, 0]

        return -optimize.minimize_scalar(loss, bounds=(start - 0.25, start + 0.25), method="bounded").fun

    return np.array([refine(*one_class) for one_class in zip(best, powers.T, residuals, strict=True)])


def linear_cka(x: ArrayLike, y: ArrayLike, debiased: bool = True) -> float:
    """Compare two representations of the same images: linear centred kernel alignment (CKA).

    CKA = H(X, Y) / √(H(X, X) · H(Y, Y)) with H(X, Y) = ‖YᵀX‖², the Frobenius norm of centred columns: two
    representations are alike if the same pairs of images are close in both. Each image is also as close to itself as
    can be, in both, whatever they show; with few images, or features that spread evenly over more directions than there
    are images, that alone makes any two representations look alike. The debiased form leaves these pairs out, so that
    unrelated representations give 0 on average:

    H(X, Y) = ‖YᵀX‖² − N / (N − 2) · Σᵢ ‖xᵢ‖² ‖yᵢ‖² + Σᵢ ‖xᵢ‖² · Σᵢ ‖yᵢ‖² / ((N − 1)(N − 2)).

    Parameters
    ----------
    x : ndarray, shape (N, P), float
        Activations of one layer for N images.
    y : ndarray, shape (N, Q), float
        Activations of another layer or network for the same images in the same order.
    debiased : bool
        False gives the form of 2019, to compare with results that use it.

    Returns
    -------
    float
        At most 1: equal up to rotation, reflection, one common factor and a shift. About 0, and as often below as
        above: no linear relation. Without `debiased`, from 0 to 1.

    Raises
    ------
    MeasureError
        If shapes or values are not as above, there are fewer than four images for the debiased form, or one
        representation tells no pair of images from another, for which CKA is undefined.

    References
    ----------
    Kornblith et al. (2019), Similarity of neural network representations revisited, section 3. Debiased: Nguyen, Raghu
    and Kornblith (2021), Do wide and deep networks learn the same things?, equation 3, with the unbiased H of Song et
    al. (2012), Feature selection via dependence maximization, equation 5, here for centred columns, and without the
    factor N(N − 3), which cancels. By tr(XXᵀYYᵀ) = ‖YᵀX‖² there is a second form with N × N kernels; whichever is
    cheaper is computed. Taught in: chapter 5 (Outlook and challenges).
    """
    x, y = _centred(x, "x", "P"), _centred(y, "y", "Q")
    if len(x) != len(y):
        raise MeasureError(f"Expected the same images in both, found {len(x)} and {len(y)} rows.")
    if debiased and len(x) < 4:
        raise MeasureError(f"Debiased CKA needs four or more images, found {len(x)}.")
    together, *own = _alike(x, y, debiased)
    return together / float(np.sqrt(own[0] * own[1]))


def _alike(x: Floats, y: Floats, debiased: bool) -> tuple[float, float, float]:
    """Compute H(x, y), H(x, x) and H(y, y) of `linear_cka`."""
    (n, p), (_, q) = x.shape, y.shape
    lengths = [(each**2).sum(axis=1) for each in (x, y)]
    kernels = n * (p + q) < p * p + p * q + q * q
    seen = (x @ x.T, y @ y.T) if kernels else (x, y)

    def h(i: int, j: int) -> float:
        total = (seen[i] * seen[j] if kernels else (seen[j].T @ seen[i]) ** 2).sum()
        if debiased:
            total -= n / (n - 2) * (lengths[i] @ lengths[j])
            total += lengths[i].sum() * lengths[j].sum() / ((n - 1) * (n - 2))
        if i == j and total <= 1e-12 * (lengths[i] @ lengths[i]):  # only rounding is left
            raise MeasureError(f"{'xy'[i]} tells no pair of the {n} images from another: debiased CKA is undefined.")
        return float(total)

    return h(0, 1), h(0, 0), h(1, 1)


def _centred(values: ArrayLike, name: str, columns: str) -> Floats:
    """Centre the columns and divide by the largest value, which CKA does not see and which keeps squares finite."""
    matrix = _matrix(values, name, f"{columns} activations")
    moved = matrix - matrix[0]  # exact zeros for constant columns; subtracting a rounded mean leaves noise
    largest = np.abs(moved).max()
    if largest == 0:
        raise MeasureError(f"{name} is the same for all {len(matrix)} images: CKA is undefined. Is the layer dead?")
    moved /= largest
    return moved - moved.mean(axis=0)


def _matrix(values: ArrayLike, name: str, columns: str) -> Floats:
    values = as_numbers(values)
    if values.ndim != 2 or 0 in values.shape:
        raise MeasureError(
            f"Expected {name} of shape (N images, {columns}), found {values.shape}. "
            "Flatten activations of more dimensions: a.reshape(len(a), -1)."
        )
    if not np.isfinite(values).all():
        raise MeasureError(f"{name} has a value that is not finite. Has the network diverged?")
    return values


def _one_hot(labels: ArrayLike, count: int) -> Floats:
    """Check labels and spread them over one column for each class that occurs, shape (N, classes), float64."""
    labels = np.asarray(labels)
    if labels.shape != (count,):
        raise MeasureError(f"Expected one label for each of the {count} images, found shape {labels.shape}.")
    if labels.dtype.kind not in "iu":
        raise MeasureError(f"Expected labels as whole numbers (int), found {labels.dtype}.")
    if labels.min() < 0:
        raise MeasureError(f"Labels count the classes from 0, found {labels.min()}. Leave out images without a label.")
    classes = np.unique(labels)
    if len(classes) < 2:
        raise MeasureError(f"A score needs images of at least two classes, found class {classes[0]} alone.")
    return (labels[:, None] == classes).astype("float64")
