#!/usr/bin/env python3
"""Captions photos with an exported model by onnxruntime, and compares with what `imgcap` says.

Exports the models in the box (or --model), encodes and captions the photos in assets/ by onnxruntime, with a beam
search written here, and compares: features with those of `imgcap prepare` (16-bit, exported as .npy), captions and
their log-probabilities with those of `imgcap caption`, for beams of 1, 3 and 5. Needs a build (scripts/build.sh) and
the PyPI packages numpy, Pillow, onnx and onnxruntime; without them the check is skipped.

  scripts/check_onnx.py [--build build] [--model FILE --weights FILE]... [PHOTO...]
"""

import argparse
import json
import math
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BEAMS = (1, 3, 5)
MAX_WORDS = 30


def imgcap(build, *arguments):
    command = [str(part) for part in (build / "bin/imgcap", *arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


class Captioner:
    """The exported files as a captioner: what another program would write."""

    def __init__(self, folder):
        import onnx
        import onnxruntime

        self.model = json.loads((folder / "model.json").read_text())
        self.vocabulary = self.model["vocabulary"]
        sessions = []
        for name in ("encoder", "decoder_start", "decoder_step"):
            file = str(folder / f"{name}.onnx")
            onnx.checker.check_model(file, full_check=True)
            sessions.append(onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]))
        self.encoder, self.first, self.next = sessions
        self.inputs = {value.name for value in self.next.get_inputs()}

    def pixels(self, photo):
        import numpy
        from PIL import Image, ImageOps

        how = self.model["preprocessing"]
        picture = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")
        picture = picture.resize((how["width"], how["height"]), Image.Resampling.BILINEAR)
        values = numpy.asarray(picture, dtype=numpy.float32)
        if how["scale"] == "unit":
            values = values / numpy.float32(255)
        values = (values - numpy.float32(how["mean"])) / numpy.float32(how["stddev"])
        return values.transpose(2, 0, 1)

    def features(self, photos):
        import numpy

        return self.encoder.run(None, {"pixels": numpy.stack([self.pixels(photo) for photo in photos])})[0]

    def step(self, features, words, h, c):
        import numpy

        given = {"features": features, "word": numpy.array(words, dtype=numpy.int64), "h": h, "c": c}
        return self.next.run(None, {name: given[name] for name in self.inputs})[:3]

    def caption(self, features, beam):
        """Beam search over one photo's features: tokens and log-probability of the best caption."""
        import numpy

        special = self.model["special_tokens"]
        # Of a model with languages the default one's words, which begin with its token.
        language = self.model.get("languages", {}).get(self.model.get("language"))
        start = language["start"] if language else special["sos"]
        allowed = range(language["first"], language["end"]) if language else range(len(self.vocabulary))
        never = [token for token in range(len(self.vocabulary)) if token not in allowed and token != special["eos"]]
        never += [special["unk"], special["pad"], special["sos"]]
        h, c = self.first.run(None, {"features": features})
        open_beams, finished = [([], 0.0)], []
        for length in range(1, MAX_WORDS + 2):
            words = [tokens[-1] if tokens else start for tokens, _ in open_beams]
            log_p, h, c = self.step(features.repeat(len(words), axis=0), words, h, c)
            log_p = log_p.astype(numpy.float64)
            log_p[:, never] = -math.inf
            candidates = []
            for row, (_, so_far) in enumerate(open_beams):
                for token in numpy.argsort(-log_p[row], kind="stable")[: beam + 1]:
                    candidates.append((so_far + log_p[row, token], int(token), row))
            candidates.sort(key=lambda one: (-one[0], one[1], one[2]))
            going_on = []
            for rank, (score, token, row) in enumerate(candidates[: 2 * beam]):
                tokens = open_beams[row][0] + [token]
                if token == special["eos"]:
                    if rank < beam and len(finished) < beam:
                        finished.append((tokens, score))
                elif length <= MAX_WORDS and len(going_on) < beam:
                    going_on.append((tokens, score, row))
            best = max((score / len(tokens) for tokens, score in finished), default=-math.inf)
            if not going_on or len(finished) >= beam or best >= going_on[0][1] / (MAX_WORDS + 1):
                break
            rows = [row for _, _, row in going_on]
            h, c = h[:, rows], c[:, rows]
            open_beams = [(tokens, score) for tokens, score, _ in going_on]
        return max(finished or open_beams, key=lambda one: one[1] / len(one[0]))

    def text(self, tokens):
        special = set(self.model["special_tokens"].values())
        joined = "".join(self.vocabulary[token] for token in tokens if token not in special)
        return " ".join(joined.split())


def check(build, model, weights, photos, work):
    import numpy

    more = ["--weights", weights] if weights else []
    print(imgcap(build, "export", model, work / "onnx", *more), end="")
    captioner = Captioner(work / "onnx")
    encoder = captioner.model["encoder"]
    weights = weights or ROOT / f"assets/model/{encoder}.safetensors"
    imgcap(build, "prepare", "--images", *photos, "--encoder", encoder, "--weights", weights, "--out",
           work / "cache.safetensors")
    imgcap(build, "export", work / "cache.safetensors", work / "npy")
    names = (work / "npy/names.txt").read_text().splitlines()
    order = [names.index(str(photo)) for photo in photos]
    ours = numpy.load(work / "npy/features.npy")[order]
    features = captioner.features(photos)
    apart = numpy.abs(ours.astype(numpy.float32) - features)
    # What is more than the rounding of ours explains is a difference in 32 bits.
    beyond = (apart - numpy.spacing(numpy.abs(ours)).astype(numpy.float32) / 2).max()
    bad = beyond > 1e-4
    print(f"features {features.shape}, the largest {numpy.abs(features).max():.3f}: at most {apart.max():.2e} from our "
          f"16-bit ones, at most {max(beyond, 0):.2e} beyond their rounding")
    for beam in BEAMS:
        lines = imgcap(build, "caption", *photos, "--model", model, *more, "--beam", beam, "--max-words", MAX_WORDS, "--json")
        told = {line["image"]: line for line in map(json.loads, lines.splitlines())}
        worst, same = 0.0, 0
        for i, photo in enumerate(photos):
            tokens, log_p = captioner.caption(features[i : i + 1], beam)
            line = told[str(photo)]
            if captioner.text(tokens) == " ".join(line["caption"].split()):
                same += 1
                worst = max(worst, abs(log_p - line["log_probability"]))
            else:
                print(f"{photo.name}: onnxruntime: {captioner.text(tokens)!r}, imgcap: {line['caption']!r}")
        bad = bad or same != len(photos) or worst > 1e-3
        print(f"beam {beam}: {same} of {len(photos)} captions are the same, their log-probabilities differ by at most "
              f"{worst:.2e}")
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--model", action="append", help="a checkpoint, attention or plain (default: the latter two)")
    parser.add_argument("--weights", type=pathlib.Path, help="the encoder's, where it is not the one in the box")
    parser.add_argument("photos", nargs="*", type=pathlib.Path, help="default: ten of those in assets/photos")
    arguments = parser.parse_args()
    try:
        import numpy  # noqa: F401
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import PIL  # noqa: F401
    except ImportError as missing:
        print(f"check_onnx: skipped, a PyPI package is not installed: {missing.name}")
        return 0
    photos = arguments.photos or sorted((ROOT / "assets/photos").glob("*.jpg"))[:10]
    bad = False
    for model in arguments.model or ["attention", "plain"]:
        print(f"-- {model}")
        with tempfile.TemporaryDirectory() as folder:
            bad = check(arguments.build, model, arguments.weights, photos, pathlib.Path(folder)) or bad
    print(f"check_onnx: onnxruntime {'does NOT caption' if bad else 'captions'} as imgcap does")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
