#!/usr/bin/env python3
"""PyTorch's times for the rows lstm and lite2 of `imgcap bench`, with random weights and data, on a processor.

  torch_layers.py lstm  [--dtype f32|bf16|f16] [--threads N] [--reps R]
  torch_layers.py lite2 [--dtype ...] [--mode eager|jit] [--batch N] [--threads N] [--reps R]

lstm: one layer of 1024 on 128 sequences of 20 steps of 512, forward and backward, 16 bits by autocast. lite2: the features
of EfficientNet-Lite2 at 224 x 224 without a graph, channels last; 16-bit weights; jit: traced, frozen and optimised for
inference; of one photo eight times as many calls. Prints one line of JSON: median, least and greatest seconds of R calls
after four that do not count.
"""
import argparse
import json
import statistics
import time

import torch
from torch import nn

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
# Kernel, stride, expansion, channels, blocks.
GROUPS = [(3, 1, 1, 16, 1), (3, 2, 6, 24, 3), (5, 2, 6, 48, 3), (3, 2, 6, 88, 4), (5, 1, 6, 120, 4), (5, 2, 6, 208, 5),
          (3, 1, 6, 352, 1)]


def convolution(inside, outside, kernel=1, stride=1, groups=1, activation=True):
    # Padded alike on both sides, which costs less than the published weights' padding.
    layers = [nn.Conv2d(inside, outside, kernel, stride, kernel // 2, groups=groups, bias=False),
              nn.BatchNorm2d(outside, eps=1e-3)]
    return nn.Sequential(*layers, *([nn.ReLU6()] if activation else []))


class Block(nn.Module):
    def __init__(self, inside, outside, kernel, stride, expansion):
        super().__init__()
        middle = inside * expansion
        self.residual = stride == 1 and inside == outside
        self.layers = nn.Sequential(*([convolution(inside, middle)] if expansion > 1 else []),
                                    convolution(middle, middle, kernel, stride, middle),
                                    convolution(middle, outside, activation=False))

    def forward(self, x):
        return self.layers(x) + x if self.residual else self.layers(x)


def lite2():
    layers, channels = [convolution(3, 32, 3, 2)], 32
    for kernel, stride, expansion, outside, blocks in GROUPS:
        for k in range(blocks):
            layers.append(Block(channels, outside, kernel, stride if k == 0 else 1, expansion))
            channels = outside
    return nn.Sequential(*layers, convolution(channels, 1280))


def encoding(options):
    model = lite2().eval().to(DTYPES[options.dtype], memory_format=torch.channels_last)
    photos = torch.randn(options.batch, 3, 224, 224).to(DTYPES[options.dtype], memory_format=torch.channels_last)
    with torch.no_grad():
        if options.mode == "jit":
            model = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(model, photos)))

    def call():
        with torch.no_grad():
            model(photos)

    return call


def recurrent(options):
    layer, x = nn.LSTM(512, 1024), torch.randn(20, 128, 512, requires_grad=True)

    def call():
        layer.zero_grad()
        x.grad = None
        with torch.autocast("cpu", dtype=DTYPES[options.dtype], enabled=options.dtype != "f32"):
            outputs, _ = layer(x)
            loss = outputs.float().sum()
        loss.backward()

    return call


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=["lstm", "lite2"])
    parser.add_argument("--dtype", choices=DTYPES, default="f32")
    parser.add_argument("--mode", choices=["eager", "jit"], default="eager")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--reps", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    call = (recurrent if options.job == "lstm" else encoding)(options)
    warm_up, seconds = 4, []  # a traced model is optimised in its first calls
    calls = options.reps * (8 if options.job == "lite2" and options.batch == 1 else 1)
    for repetition in range(warm_up + calls):
        start = time.perf_counter()
        call()
        if repetition >= warm_up:
            seconds.append(time.perf_counter() - start)
    print(json.dumps({**vars(options), "seconds": {"median": statistics.median(seconds), "min": min(seconds),
                                                   "max": max(seconds)}}))


if __name__ == "__main__":
    main()
