#!/usr/bin/env python3
"""What each kernel takes of a device: registers of a thread, shared memory of a block, stack and spilled bytes of a thread.

    cmake --preset cuda -DCMAKE_CUDA_FLAGS=-Xptxas=-v
    cmake --build --preset cuda 2>&1 | scripts/kernel_resources.py

reads what ptxas says while it compiles and prints a line for each kernel and processor; the last one names those that
spill registers, which costs time but is no error.
"""
import re
import subprocess
import sys

COMPILING = re.compile(r"Compiling entry function '(\w+)' for '(sm_\d+)'")
STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")


def read(lines):
    """{(mangled name, processor): (registers, shared, stack, spilled)}"""
    found, kernel, stack, spilled = {}, None, 0, 0
    for line in lines:
        if match := COMPILING.search(line):
            kernel, stack, spilled = match.groups(), 0, 0
        elif match := STACK.search(line):
            stack, spilled = int(match[1]), int(match[2]) + int(match[3])
        elif (match := USED.search(line)) and kernel:
            shared = SHARED.search(line)
            found[kernel] = (int(match[1]), int(shared[1]) if shared else 0, stack, spilled)
    return found


def readable(names):
    """Mangled names -> names as the sources have them, without namespaces and arguments."""
    said = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    short = {}
    for name, text in zip(names, said.splitlines()):
        text = re.sub(r"\(anonymous namespace\)::|tensor::(cuda::)?(internal::)?", "", text)
        text = re.sub(r"\(\w[\w ]*\)(?=\d)", "", text)  # the type before a number that is a template's argument
        text = re.sub(r"unsigned (char|short|int|long)", r"u\1", text).removeprefix("void ")
        end, depth = len(text), 0
        for i, letter in enumerate(text):  # up to the arguments
            depth += (letter == "<") - (letter == ">")
            if letter == "(" and depth == 0:
                end = i
                break
        short[name] = text[:end]
    return short


def main():
    found = read(sys.stdin)
    if not found:
        print("kernel_resources: nothing was compiled with -Xptxas=-v")
        return
    names = readable(sorted({name for name, _ in found}))
    rows = sorted((names[name], processor, *numbers) for (name, processor), numbers in found.items())
    width = max(len(row[0]) for row in rows)
    print(f"{'kernel':<{width}}  {'for':<6}{'registers':>10}{'shared':>8}{'stack':>7}{'spilled':>9}")
    for name, processor, registers, shared, stack, spilled in rows:
        print(f"{name:<{width}}  {processor:<6}{registers:>10}{shared:>8}{stack:>7}{spilled:>9}")
    spilling = sorted({row[0] for row in rows if row[5]})
    most = max(rows, key=lambda row: row[2])
    print(f"{len(names)} kernels; most registers: {most[2]} ({most[0]}); "
          f"spill: {', '.join(spilling) if spilling else 'none'}")


if __name__ == "__main__":
    main()
