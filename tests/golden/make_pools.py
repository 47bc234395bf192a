"""Makes pools.txt: PyTorch's max pooling of a row of SIZE numbers over a grid of windows, a line per call:

    max SIZE KERNEL STRIDE PADDING DILATION CEIL: INDEX...        or        ...: refused

INDEX is the place of each window's greatest number, - for a window of padding alone, which gives -inf. Number i of a
row is (5 i) mod 7. Then adaptive average pooling of the same rows: "adaptive SIZE CELLS: VALUE..." or "refused".

    python make_pools.py > pools.txt
"""
import itertools

import torch
import torch.nn.functional as F


def row(size):
    return torch.tensor([[[[float(5 * i % 7) for i in range(size)]]]], dtype=torch.float64).reshape(1, 1, 1, size)


for size, kernel, stride, pad, dilation, ceil in itertools.product(
        range(7), range(5), range(4), (-1, 0, 1, 2, 3), range(4), (False, True)):
    # What can't be is refused whatever else is given: one of each is enough.
    if (kernel == 0 or stride == 0 or dilation == 0 or pad == -1) and (size != 4 or ceil):
        continue
    try:
        values, indices = F.max_pool2d(row(size), (1, kernel), (1, stride), (0, pad), (1, dilation), ceil, True)
        places = ["-" if v == float("-inf") else str(i) for v, i in zip(values.flatten().tolist(), indices.flatten().tolist())]
        text = " ".join(places)
    except (RuntimeError, ValueError) as error:
        text = "refused"
    print(f"max {size} {kernel} {stride} {pad} {dilation} {int(ceil)}: {text}")
for size, cells in itertools.product(range(1, 8), range(1, 9)):
    try:
        text = " ".join(f"{v:.17g}" for v in F.adaptive_avg_pool2d(row(size), (1, cells)).flatten().tolist())
    except (RuntimeError, ValueError) as error:
        text = "refused"
    print(f"adaptive {size} {cells}: {text}")
