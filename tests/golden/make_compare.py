#!/usr/bin/env python3
"""Makes compare.json: two files of captions, their scores, bootstrap intervals and randomization tests in plain Python.

The scores follow their definitions, with sets and dictionaries; the random words are Philox's (Salmon et al. 2011), which
this program checks against a vector of its authors. usage: make_compare.py > compare.json
"""
import collections
import json
import math
import random

ORDERS, SAMPLES, SEED = 4, 300, 7
NAMES = ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr"]


def philox(seed, counter, stream):
    c = [counter & 0xFFFFFFFF, counter >> 32, stream & 0xFFFFFFFF, stream >> 32]
    k = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [b >> 32 ^ c[1] ^ k[0], b & 0xFFFFFFFF, a >> 32 ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [k[0] + 0x9E3779B9 & 0xFFFFFFFF, k[1] + 0xBB67AE85 & 0xFFFFFFFF]
    return c


assert philox(0, 0, 0) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


def grams(words, n):
    return collections.Counter(tuple(words[i:i + n]) for i in range(len(words) - n + 1))


def bleu_counts(candidate, references):
    """Length, the closest reference's, and for each order (n-grams found, n-grams)."""
    length = len(candidate)
    closest = min((abs(len(r) - length), len(r)) for r in references)[1]
    orders = []
    for n in range(1, ORDERS + 1):
        have = grams(candidate, n)
        orders.append((sum(min(c, max(grams(r, n)[g] for r in references)) for g, c in have.items()), sum(have.values())))
    return length, closest, orders


def bleu(counts):
    length, closest = sum(c[0] for c in counts), sum(c[1] for c in counts)
    ratio = (length + 1e-15) / (closest + 1e-9)
    penalty = math.exp(1 - 1 / ratio) if ratio < 1 else 1
    scores, product = [], 1
    for n in range(ORDERS):
        product *= (sum(c[2][n][0] for c in counts) + 1e-15) / (sum(c[2][n][1] for c in counts) + 1e-9)
        scores.append(penalty * product ** (1 / (n + 1)))
    return scores


def common(a, b):
    """The length of the longest common subsequence."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def rouge(candidate, references):
    p = max(common(candidate, r) / len(candidate) for r in references)
    r = max(common(candidate, r) / len(r) for r in references)
    return (1 + 1.2**2) * p * r / (r + 1.2**2 * p) if p and r else 0


def cider(candidates, references):
    """Each image's."""
    frequency = collections.Counter()
    for refs in references:
        frequency.update({g for r in refs for n in range(1, ORDERS + 1) for g in grams(r, n)})

    def vector(words, n):
        return {g: c * (math.log(len(references)) - math.log(max(1, frequency[g]))) for g, c in grams(words, n).items()}

    def similarity(a, b):
        total = 0
        for n in range(1, ORDERS + 1):
            x, y = vector(a, n), vector(b, n)
            norm = math.sqrt(sum(v * v for v in x.values())) * math.sqrt(sum(v * v for v in y.values()))
            dot = sum(min(v, y.get(g, 0)) * y.get(g, 0) for g, v in x.items())
            total += (dot / norm if norm else dot) * math.exp(-((len(a) - len(b)) ** 2) / 72)
        return total / ORDERS

    return [10 * sum(similarity(c, r) for r in refs) / len(refs) for c, refs in zip(candidates, references)]


def mean(values):
    return sum(values) / len(values)


def terms(candidates, references):
    return list(zip([bleu_counts(c, r) for c, r in zip(candidates, references)],
                    [rouge(c, r) for c, r in zip(candidates, references)], cider(candidates, references)))


def scores(images):
    return bleu([i[0] for i in images]) + [mean([i[1] for i in images]), mean([i[2] for i in images])]


def interval(values):
    values = sorted(values)

    def at(share):
        place = share * (len(values) - 1)
        low = math.floor(place)
        high = min(low + 1, len(values) - 1)
        return values[low] + (place - low) * (values[high] - values[low])

    return [at(0.025), at(0.975)]


def minus(b, a):
    return [y - x for x, y in zip(a, b)]


def main():
    chance = random.Random(1)
    vocabulary = [f"w{i}" for i in range(30)]

    def sentence():
        return [vocabulary[int(30 * chance.random() ** 2)] for _ in range(chance.randint(3, 11))]

    def like(text, share):
        return [w if chance.random() < share else chance.choice(vocabulary) for w in text]

    count = 131  # more than the bits of one block of random words, and not a multiple of four
    references = [[sentence() for _ in range(chance.randint(1, 4))] for _ in range(count)]
    files = [[like(chance.choice(refs), share) for refs in references] for share in (0.56, 0.58)]
    a, b = (terms(f, references) for f in files)

    drawn = [[], []]
    for s in range(SAMPLES):
        words = [w for block in range((count + 3) // 4) for w in philox(SEED, block, s)][:count]
        for values, images in zip(drawn, (a, b)):
            values.append(scores([images[w * count >> 32] for w in words]))
    found = minus(scores(b), scores(a))
    as_far = [1] * len(NAMES)
    for s in range(SAMPLES):
        words = [w for block in range((count + 127) // 128) for w in philox(SEED, block, 2**32 + s)]
        swapped = [words[i // 32] >> i % 32 & 1 for i in range(count)]
        d = minus(scores([x if s else y for x, y, s in zip(a, b, swapped)]),
                  scores([y if s else x for x, y, s in zip(a, b, swapped)]))
        as_far = [n + (abs(v) >= abs(f) - 1e-10) for n, v, f in zip(as_far, d, found)]

    names = [f"{i:03}.jpg" for i in range(count)]
    result = {"samples": SAMPLES, "seed": SEED,
              "images": [{"image": n, "references": [" ".join(r) for r in refs], "a": " ".join(x), "b": " ".join(y)}
                         for n, refs, x, y in zip(names, references, *files)], "scores": []}
    for k, name in enumerate(NAMES):
        of = [[v[k] for v in values] for values in drawn]
        result["scores"].append({"name": name, "a": scores(a)[k], "b": scores(b)[k], "interval_a": interval(of[0]),
                                 "interval_b": interval(of[1]), "difference": found[k],
                                 "interval": interval(minus(of[1], of[0])), "p": as_far[k] / (SAMPLES + 1)})
    print(json.dumps(result, separators=(",", ":")).replace('{"image"', '\n{"image"').replace('{"name"', '\n{"name"'))


main()
