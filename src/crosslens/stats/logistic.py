"""L2 logistic regression: one fit after another, and thousands at once."""

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import expit


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


def fits(
    x: np.ndarray,
    labels: np.ndarray,
    rows: np.ndarray,
    penalty: float,
    *,
    tolerance: float = 1e-5,
    steps: int = 10_000,
) -> np.ndarray:
    """Decision values (m, B) of `rows` (m, d) by a fit to x (n, d) under each column of `labels` (n, B) bool.

    Standardised inputs. All fits advance together, by accelerated gradient steps with restarts (O'Donoghue & Candès
    2015) in the span of the centred rows: there X'X / 4 + 1 / C, which bounds the Hessian (Böhning & Lindsay 1988), is
    diagonal. They end when no step is longer than `tolerance` in the norm of that bound. Raises RuntimeError if they
    have not ended after so many steps.
    """
    centre = x.mean(axis=0)
    left, sizes, axes = np.linalg.svd(x - centre, full_matrices=False)
    kept = sizes > 1e-10 * max(sizes[0], 1e-300)
    train = np.column_stack([left[:, kept] * sizes[kept], np.ones(len(x))])
    test = np.column_stack([(rows - centre) @ axes[kept].T, np.ones(len(rows))])
    ridge = np.append(np.full(kept.sum(), 1 / penalty), 0.0)[:, None]  # none on the intercept
    bound = np.square(train).sum(axis=0)[:, None] / 4 + ridge
    weights = ahead = np.zeros((train.shape[1], labels.shape[1]))
    age = np.ones(labels.shape[1])
    for _ in range(steps):
        gradient = train.T @ (expit(train @ ahead) - labels) + ridge * ahead
        after = ahead - gradient / bound
        moved = after - weights
        age[np.einsum("db,db->b", gradient, moved) > 0] = 1
        older = (1 + np.sqrt(1 + 4 * age**2)) / 2
        weights, ahead, age = after, after + (age - 1) / older * moved, older
        if np.all(np.square(gradient / np.sqrt(bound)).sum(axis=0) < tolerance**2):
            return test @ weights
    raise RuntimeError(f"logistic fits did not converge in {steps} steps")
