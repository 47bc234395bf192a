"""Makes grad_scaler.txt: a torch.amp.GradScaler on the CPU through good and bad steps of one and two optimisers.
A line: case, optimisers, init scale, growth factor, backoff factor, interval, step, what the gradients were (o good,
x with an inf, n with a NaN; one letter an optimiser), and after the update: scale, growth tracker, and whether each
weight moved.

    python make_grad_scaler.py
"""
import os

import torch

CASES = [  # name, options (init, growth, backoff, interval), steps
    ("default", (65536.0, 2.0, 0.5, 2000), "o x n o o".split()),
    ("grows", (4.0, 2.0, 0.5, 3), "o o o o x o o o o o o x x o".split()),
    ("odd factors", (10.0, 1.7, 0.3, 2), "o o x o o o o x x o o o".split()),
    ("limit", (2.0**126, 4.0, 0.5, 1), "o o o x o".split()),
    ("two", (256.0, 2.0, 0.5, 2), "oo ox oo xo nn oo oo".split()),
]
lines = []
for name, (init, growth, backoff, interval), steps in CASES:
    scaler = torch.amp.GradScaler("cpu", init_scale=init, growth_factor=growth, backoff_factor=backoff,
                                  growth_interval=interval)
    weights = [torch.ones(3, requires_grad=True) for _ in steps[0]]
    optimizers = [torch.optim.SGD([w], lr=0.125) for w in weights]
    scaler.scale(torch.zeros(()))  # the scale is made on first use
    for i, kinds in enumerate(steps):
        before = [w.detach().clone() for w in weights]
        for w, kind in zip(weights, kinds):
            g = torch.tensor([1.0, {"o": 1.0, "x": float("inf"), "n": float("nan")}[kind], 1.0])
            w.grad = g * scaler.get_scale() if scaler.get_scale() < 2.0**127 else g.clone()
        for o in optimizers:
            scaler.step(o)
        scaler.update()
        moved = "".join("y" if not torch.equal(b, w.detach()) else "n" for b, w in zip(before, weights))
        state = scaler.state_dict()
        lines.append("\t".join(map(str, (name, len(weights), init, growth, backoff, interval, i, kinds,
                                         repr(state["scale"]), state["_growth_tracker"], moved))))
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "grad_scaler.txt"), "w") as file:
    file.write("\n".join(lines) + "\n")
