"""scripts/gpu-check.sh with programs that only say what imgcap and its tests would: phases, limits, refusals, and the page."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
folder = pathlib.Path(tempfile.mkdtemp(prefix="imgcap_gpu_check_"))
programs = folder / "programs"
programs.mkdir()
(folder / "libcublasLt.so.13").write_text("none")

OPS = [{"op": "matmul", "launches": 3, "flops": 2e12, "bytes": 1e9, "seconds": 0.004},
       {"op": "adamw", "launches": 1, "flops": 1e6, "bytes": 2e9, "seconds": 0.001},
       {"op": "upload", "launches": 1, "flops": 0, "bytes": 9e9, "seconds": 0}]


def bench(precision, seconds):
    row = {"name": "train-attention", "what": f"a step in {precision}", "precision": precision, "unit": "captions",
           "per_second": 128 / seconds, "seconds": {"median": seconds, "min": seconds, "max": seconds},
           "device": {"name": "cuda:0", "launches": 4, "busy_seconds": 0.005, "peak_mib": 1500, "ops": OPS}}
    return {"machine": {}, "ceilings": {"device": "cuda:0", "copy_gb_per_second": 2000, "f16_tflops": 500, "f32_tflops": 50},
            "rows": [row]}


def program(name, text):
    file = programs / name
    file.write_text(f"#!{sys.executable}\nimport json, os, sys, time\n{text}\n")
    file.chmod(0o755)


def imgcap(cuda="NVIDIA H200, sm_90, 139.00 GiB, driver for CUDA 13.0", ops="print('2 ops, all pass')"):
    program("imgcap", f"""
verb = sys.argv[1]
given = dict(zip(sys.argv, sys.argv[1:]))
if verb == "info": print("imgcap 0\\nCUDA:          {cuda}\\nthreads: 1")
if verb == "gradcheck": {ops}
if verb == "train":
    os.makedirs(given["--out"])
    add = 1e-6 if given["--device"] == "cuda" else 0
    with open(given["--out"] + "/log.jsonl", "w") as log:
        for step in (1, 2): log.write(json.dumps({{"step": step, "loss": 9 / step + add}}) + "\\n")
if verb == "caption" and "--help" in sys.argv: print("--device")
elif verb == "caption": print(json.dumps({{"image": "a.jpg", "caption": "a dog", "log_probability": -2 - (given["--device"] == "cuda") / 4}}))
if "--worker" in sys.argv:
    row = {{"f16": {bench("f16", 0.02)!r}, "f32": {bench("f32", 0.05)!r}}}[given["--precision"]]["rows"][0]
    if given["--worker"] == "lstm": sys.exit("lstm: it failed")
    print(json.dumps({{"what": given["--worker"], "unit": "photos", "per_call": 256, "seconds": row["seconds"], "device": row["device"]}}))
elif verb == "bench": print(json.dumps({{"f16": {bench("f16", 0.01)!r}, "f32": {bench("f32", 0.05)!r}}}[given["--precision"]], indent=1))
""")


def check(*arguments, code, **environment):
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    plain = {k: v for k, v in os.environ.items() if k not in ("OUT", "IMGCAP_CUDA_LIBRARIES")}
    result = subprocess.run([ROOT / "scripts/gpu-check.sh", *arguments, out], capture_output=True, text=True,
                            env={**plain, "IMGCAP_CUDA_LIBRARIES": str(folder), **environment})
    assert result.returncode == code, (result.returncode, result.stdout, result.stderr)
    return result, out


def refused(why, *arguments):
    result, out = check(*arguments, code=2)
    assert result.stdout == "" and result.stderr.startswith("gpu-check: ") and result.stderr.count("\n") == 1, result
    assert why in result.stderr and not out.exists(), result


ours = ("--programs", programs, "--seconds", "20")
try:
    imgcap()
    program("test_device", "print('[doctest] test cases: 3 | 3 passed | 0 failed')")
    most = ("--only", "ops,tests,curves,bench")
    result, out = check(*ours, *most, code=1)
    summary = (out / "summary.txt").read_text()
    assert result.stdout == summary
    assert "\nphase bench: failed with exit code 1: lstm: it failed, " in summary, summary
    for phase in ("ops", "tests", "curves"):
        assert f"\nphase {phase}: ok, " in summary, summary
    page = (out / "gpu-report.md").read_text()
    # 2 TFLOP at 500 TFLOP/s and 2 GB at 2 TB/s: 4 and 1 ms of the 10 that it took; what crosses is not in the way.
    assert "| `train-attention`: a step in f16 | 4 | 0.0 ms | 2,000.0 | 12.00 | 5.00 ms, 25,600 captions/s | 10.00 ms, 12,800 captions/s | 50% | 1,500 MiB |" in page, page
    # Those behind the row that failed are there as well.
    assert "| `lite2-b1`: lite2-b1 | 4 | 0.0 ms | 2,000.0 | 12.00 | 5.00 ms, 51,200 photos/s | 20.00 ms, 12,800 photos/s | 25% |" in page, page
    assert "`lstm`" not in page and "| train-attention | 5.00 x |" in page and "measured in this run: 2,000 GB/s" in page, page
    assert "| matmul | 3 | 2,000.00 | 1,000.0 | 4.000 | 4.000 |" in page, page
    assert "| plain f16 | 2 | 9.0000 | 4.5000 | 2.2e-07 |" in page, page
    assert "Captions, beam 5: 1 of 1 have the CPU's words; log-probabilities are 2.5e-01 apart" in page and "never run" not in page, page
    assert "- ops: 2 ops, all pass" in page and "3 passed" in page and "NVIDIA H200" in page, page
    assert len(list(out.iterdir())) <= 8

    # From a bundle, by a plain user's command.
    (programs / "BUNDLE").write_text("commit abc, sm_90\n")
    bundle = folder / "bundle.tar.gz"
    subprocess.run(["tar", "-C", programs, "-czf", bundle, "BUNDLE", "imgcap", "test_device"], check=True)
    result, out = check("--bundle", bundle, "--only", "ops", code=0)
    assert "\nprograms: commit abc, sm_90\n" in result.stdout and "phase tests" not in result.stdout, result

    # PyTorch in turn with ours.
    torch = folder / "torch_baselines.py"
    torch.write_text("""import json, sys
print(json.dumps({"what": sys.argv[1], "variant": "best", "dtype": "f16", "batch": 128, "compile": "--compile" in sys.argv, "torch": "2.11",
                  "seconds": {"median": 0.03}, "peak_mib": 3000}))
if "--graph" in sys.argv: sys.exit("no graph")
""")
    result, out = check(*ours, "--only", "torch", "--torch", torch, code=1)
    page = (out / "gpu-report.md").read_text()
    assert "phase torch: failed with exit code 1: no graph" in result.stdout, result
    assert page.count("| imgcap | a step in f16 | 10.00 | 1,500 |") == 3 and page.count("| PyTorch 2.11 | ") == 7, page
    assert page.index("--compile") > page.index("beam best"), page

    # What fails or takes too long does not stop the others.
    imgcap(ops="print('add  FAILED'); sys.exit(1)")
    program("test_device", "print('one', flush=True); time.sleep(60)")
    result, out = check("--programs", programs, "--seconds", "5", "--only", "tests,ops", code=1)
    assert "phase ops: failed with exit code 1" in result.stdout and "phase tests: stopped after its 5 s" in result.stdout, result
    assert (out / "tests.txt").read_text() == "one\n" and "  - add  FAILED" in (out / "gpu-report.md").read_text()

    # On an emulated device nothing is said to be measured.
    imgcap(cuda="cuda:0: emulated sm_75, sm_75, 1.00 GiB")
    result, out = check(*ours, "--only", "bench", code=0)
    counted = (out / "bench.json").read_text()
    assert "search-1000" in counted and "encode-31783" not in counted, counted  # whose photos would be decoded
    page = (out / "gpu-report.md").read_text()
    assert "Nothing here has run on a GPU" in page and "| never run | - | 1,500 MiB |" in page and "50%" not in page, page

    refused("there is no phase 'speed'", *ours, "--only", "speed")
    refused("--seconds 0: a whole number", "--programs", programs, "--seconds", "0")
    refused("the phase torch needs --torch", *ours, "--only", "torch")
    refused("is not there", "--bundle", folder / "none.tar.gz")
    refused("is not there", "--programs", folder)
    refused("--bundle or --programs, not both", *ours, "--bundle", bundle)
    for cuda, why in (("no", "is built without CUDA"), ("yes, but no NVIDIA driver was found", "gpu-check: no NVIDIA driver was found")):
        imgcap(cuda=cuda)
        refused(why, *ours)
finally:
    shutil.rmtree(folder)
