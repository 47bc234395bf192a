#!/usr/bin/env python3
"""Makes calibration.json: predictions with their calibration error and area under the curve, and rows with the
logistic regression of them, by scikit-learn and numpy.

usage: make_calibration.py > calibration.json
"""
import json

import numpy as np
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

random = np.random.default_rng(5)


def predictions(n, digits, shift):
    p = np.round(random.beta(1.5, 2, n), digits)
    happened = random.random(n) < np.clip(p + shift, 0, 1)
    curve_observed, curve_predicted = calibration_curve(happened, p, n_bins=10)
    bins = np.minimum((p * 10).astype(int), 9)
    counts = np.bincount(bins, minlength=10)
    ece = sum(abs(p[bins == b].mean() - happened[bins == b].mean()) * (bins == b).mean() for b in set(bins.tolist()))
    return {"probability": p.tolist(), "happened": happened.tolist(), "count": counts.tolist(),
            "predicted": curve_predicted.tolist(), "observed": curve_observed.tolist(), "ece": float(ece),
            "auroc": float(roc_auc_score(happened, p))}


def regression(n, signal, columns):
    x = random.normal(size=(n, len(columns))) * columns + 3
    y = random.random(n) < 1 / (1 + np.exp(-signal * (x[:, 0] - 3) / columns[0] + 0.7))
    scaler = StandardScaler().fit(x)
    model = LogisticRegression(C=1, tol=1e-14, max_iter=10000, solver="newton-cholesky").fit(scaler.transform(x), y)
    return {"rows": x.tolist(), "outcomes": y.tolist(), "means": scaler.mean_.tolist(), "scales": scaler.scale_.tolist(),
            "weights": model.coef_[0].tolist(), "intercept": float(model.intercept_[0]),
            "probabilities": model.predict_proba(scaler.transform(x))[:, 1].tolist()}


# The first two are off the bins' bounds, which scikit-learn counts otherwise; the third has equal probabilities.
print(json.dumps({"predictions": [predictions(120, 6, 0), predictions(90, 6, 0.2), predictions(150, 2, -0.1)],
                  "regressions": [regression(80, 1.5, [2, 0.01]), regression(50, 40, [1, 1, 50])]}))
