"""L2 logistic regression, one fit after another."""

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_array


def path(
    x: csr_array | np.ndarray,
    y: np.ndarray,
    rows: csr_array | np.ndarray,
    penalties: tuple[float, ...],
    *,
    tolerance: float = 1e-3,
    steps: int = 1000,
) -> list[np.ndarray]:
    """Decision values (m) of `rows` (m, d) float64 by fits to x (n, d) float64, one for each C, each started from the last.

    y: (n) bool. What scikit-learn's LogisticRegression(warm_start=True) gives with lbfgs, to the last bit, without its
    checks of every evaluation, which take longer than these small fits.
    """
    from sklearn._loss import HalfBinomialLoss

    half_binomial, target = HalfBinomialLoss().closs, y.astype(np.float64)
    n, width = x.shape
    losses, slopes = np.empty(n), np.empty(n)

    def objective(weights: np.ndarray, ridge: float) -> tuple[float, np.ndarray]:
        slope, intercept = weights[:width], weights[width]
        half_binomial.loss_gradient(
            y_true=target,
            raw_prediction=x @ slope + intercept,
            sample_weight=None,
            loss_out=losses,
            gradient_out=slopes,
            n_threads=1,
        )
        residual = slopes / n
        gradient = np.append(x.T @ residual + ridge * slope, residual.sum())
        return losses.sum() / n + 0.5 * ridge * (slope @ slope), gradient

    weights, scores = np.zeros(width + 1), []
    options = {"maxiter": steps, "maxls": 50, "gtol": tolerance, "ftol": 64 * np.finfo(float).eps}
    for penalty in penalties:
        ridge = 1.0 / (penalty * n)
        weights = minimize(objective, weights, (ridge,), "L-BFGS-B", jac=True, options=options).x
        scores.append((rows @ weights[:width, None])[:, 0] + weights[width])
    return scores
