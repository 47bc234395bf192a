"""Makes optim.safetensors: ten steps of PyTorch's optimisers, thirty of its schedules, and clipped gradients, all in
float64. Start weights and gradients are rounded to float32, so that float32 runs can begin with the same numbers.

    python make_optim.py
"""
import os

import torch
from safetensors.torch import save_file
from torch.optim import SGD, Adam, AdamW, lr_scheduler

torch.manual_seed(11)
torch.set_default_dtype(torch.float64)
STEPS = 10
SHAPES = [(3, 4), (5,), (2, 3, 2)]
weights = [torch.randn(*s).float().double() for s in SHAPES]
gradients = [torch.randn(STEPS, *s).float().double() for s in SHAPES]
tensors = {}
for i, (w, g) in enumerate(zip(weights, gradients)):
    tensors[f"weight.{i}"], tensors[f"gradient.{i}"] = w, g


def used(i, step):
    """Parameter 1 has no gradient in steps 0, 1 and 5."""
    return i != 1 or step not in (0, 1, 5)


def run(case, optimizer, groups=False, **options):
    parameters = [w.clone().requires_grad_() for w in weights]
    if groups:
        first = {"params": parameters[:1], "lr": 0.003, "weight_decay": 0.2}
        o = optimizer([first, {"params": parameters[1:]}], foreach=False, **options)
    else:
        o = optimizer(parameters, foreach=False, **options)
    history = [[] for _ in parameters]
    for step in range(STEPS):
        for i, p in enumerate(parameters):
            p.grad = gradients[i][step].clone() if used(i, step) else None
        o.step()
        for i, p in enumerate(parameters):
            history[i].append(p.detach().clone())
    for i, h in enumerate(history):
        tensors[f"{case}/{i}"] = torch.stack(h)


run("adamw", AdamW)
run("adamw_options", AdamW, lr=0.02, betas=(0.8, 0.99), eps=1e-4, weight_decay=0.3)
run("adamw_beta1_small", AdamW, lr=0.02, betas=(0.3, 0.9))
run("adamw_no_decay", AdamW, lr=0.02, weight_decay=0.0)
run("adamw_groups", AdamW, groups=True, lr=0.02)
run("adam", Adam)
run("adam_decay", Adam, lr=0.01, weight_decay=0.1)
run("sgd", SGD, lr=0.1)
run("sgd_decay", SGD, lr=0.1, weight_decay=0.05)
run("sgd_momentum", SGD, lr=0.1, momentum=0.9)
run("sgd_dampening", SGD, lr=0.1, momentum=0.8, dampening=0.3, weight_decay=0.05)
run("sgd_nesterov", SGD, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.05)
run("sgd_groups", SGD, groups=True, lr=0.1, momentum=0.9)


def schedule(case, make, metrics=None, steps=30):
    """The rates of two groups before the first step and after each."""
    p = [torch.zeros(1, requires_grad=True) for _ in range(2)]
    o = SGD([{"params": p[:1], "lr": 0.5}, {"params": p[1:], "lr": 0.02}])
    s = make(o)
    rates = [[g["lr"] for g in o.param_groups]]
    for i in range(steps):
        o.step()
        s.step(*([metrics[i].item()] if metrics is not None else []))
        rates.append([g["lr"] for g in o.param_groups])
    tensors[f"schedule/{case}"] = torch.tensor(rates)


falling = 3 * torch.exp(-torch.arange(30) / 4) + 0.2 * torch.rand(30) + 1
tensors["schedule/metrics"] = falling
schedule("constant", lambda o: lr_scheduler.ConstantLR(o, factor=1.0))
schedule("step", lambda o: lr_scheduler.StepLR(o, 4, gamma=0.3))
schedule("step_1", lambda o: lr_scheduler.StepLR(o, 1, gamma=0.9))
schedule("cosine", lambda o: lr_scheduler.CosineAnnealingLR(o, 30, eta_min=0.001))
schedule("warmup_cosine", lambda o: lr_scheduler.SequentialLR(
    o, [lr_scheduler.LinearLR(o, start_factor=0.1, total_iters=6), lr_scheduler.CosineAnnealingLR(o, 24, eta_min=0.001)],
    milestones=[6]))
plateau = lr_scheduler.ReduceLROnPlateau
schedule("plateau", lambda o: plateau(o, factor=0.5, patience=1), falling)
schedule("plateau_patience", lambda o: plateau(o, factor=0.1, patience=3, threshold=0.01), falling)
schedule("plateau_absolute", lambda o: plateau(o, factor=0.5, patience=0, threshold=0.05, threshold_mode="abs"), falling)
schedule("plateau_cooldown", lambda o: plateau(o, factor=0.5, patience=0, cooldown=3, min_lr=0.01), falling)
schedule("plateau_max", lambda o: plateau(o, mode="max", factor=0.7, patience=1, threshold=0.05), -falling + 5)
schedule("plateau_max_absolute",
         lambda o: plateau(o, mode="max", factor=0.7, patience=1, threshold=0.1, threshold_mode="abs"), -falling + 5)
schedule("plateau_eps", lambda o: plateau(o, factor=0.5, patience=0, eps=0.006), torch.ones(30))

for case, limit in {"clip_1": 1.0, "clip_0.01": 0.01, "clip_1000": 1000.0}.items():
    parameters = [w.clone().requires_grad_() for w in weights]
    for p, g in zip(parameters, gradients):
        p.grad = g[0].clone()
    tensors[f"{case}/norm"] = torch.nn.utils.clip_grad_norm_(parameters, limit).reshape(1)
    for i, p in enumerate(parameters):
        tensors[f"{case}/{i}"] = p.grad
parameters = [w.clone().requires_grad_() for w in weights]
for i, (p, g) in enumerate(zip(parameters, gradients)):
    p.grad = g[0].clone()
torch.nn.utils.clip_grad_value_(parameters, 0.4)
for i, p in enumerate(parameters):
    tensors[f"clip_value/{i}"] = p.grad

# Averages of the weights w, w + g0, w + g0 + g1, ...
for case, decay in {"average_exponential": 0.9, "average_equal": None}.items():
    model = torch.nn.ParameterList([w.clone() for w in weights])
    kind = {} if decay is None else {"multi_avg_fn": torch.optim.swa_utils.get_ema_multi_avg_fn(decay)}
    average = torch.optim.swa_utils.AveragedModel(model, **kind)
    for step in range(STEPS):
        average.update_parameters(model)
        with torch.no_grad():
            for p, g in zip(model.parameters(), gradients):
                p += g[step]
    for i, p in enumerate(average.module.parameters()):
        tensors[f"{case}/{i}"] = p.detach().clone()

save_file(tensors, os.path.join(os.path.dirname(os.path.abspath(__file__)), "optim.safetensors"))
