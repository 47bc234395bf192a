#include "imgcap/bench/torch.h"

#include <algorithm>

#include "tensor/error.h"
#include "tensor/io/json.h"

namespace imgcap::bench {

using tensor::check;
using tensor::ErrorKind;
using tensor::io::Json;
using Reading = TorchJob::Reading;

std::vector<TorchJob> torch_jobs(const std::string& row, int64_t calls, int threads,
                                 const std::string& precision) {
  const std::string n = std::to_string(calls), t = std::to_string(threads);
  const auto train = [&](const std::string& variant) {
    return TorchJob{row,
                    variant,
                    "torch_baselines.py",
                    {"train", "--variant", variant, "--device", "cpu", "--dtype", precision, "--batch", "128",
                     "--len", "20", "--reps", n},
                    Reading::seconds};
  };
  const auto other = [&](const std::string& variant, std::vector<std::string> arguments, Reading reading) {
    for (const std::string& more : {std::string("--threads"), t, std::string("--reps"), n})
      arguments.push_back(more);
    return TorchJob{row, variant, "imgcap_torch.py", std::move(arguments), reading};
  };
  if (row == "train-attention") return {train("original"), train("best")};
  if (row == "train-plain") {
    std::vector<std::string> arguments = {"train",   "--variant", "noattn", "--encoder", "none",
                                          "--batch", "128",       "--len",  "20"};
    if (precision == "f16") return {};
    if (precision == "bf16") arguments.emplace_back("--bf16");
    return {other("original", arguments, Reading::total)};
  }
  if (row == "resnet50-b1")
    return {other("jit", {"resnet", "--mode", "jit", "--batches", "1"}, Reading::sec)};
  if (row == "resnet50-b8")
    return {other("jit", {"resnet", "--mode", "jit", "--batches", "8"}, Reading::sec)};
  if (row == "caption-resnet50")
    return {other("original", {"infer", "--search", "beam-orig", "--beam", "5"}, Reading::encode_and_search),
            other("best", {"infer", "--search", "beam-batched", "--beam", "5"}, Reading::encode_and_search)};
  if (row == "caption")
    return {TorchJob{row, "original", "imgcap_torch.py", {"startup", "--threads", t}, Reading::process}};
  return {};
}

std::filesystem::path find_program(const std::string& name, const std::vector<std::filesystem::path>& given) {
  for (const std::filesystem::path& file : given)
    if (file.filename() == name) {
      check(std::filesystem::exists(file), ErrorKind::io, "bench: --torch-program {}: not there",
            file.string());
      return file;
    }
  check(!given.empty(), ErrorKind::argument, "bench: --torch-program has to name {}", name);
  const std::filesystem::path beside = given.front().parent_path() / name;
  check(std::filesystem::exists(beside), ErrorKind::io,
        "bench: {}: not there, and no --torch-program names {}", beside.string(), name);
  return beside;
}

namespace {

Timing timing_of(const Json& value) {
  return {value.at("median").as_double(), value.at("min").as_double(), value.at("max").as_double(), 0};
}

Timing read(const Json& line, Reading reading) {
  switch (reading) {
    case Reading::seconds:
      return timing_of(line.at("seconds"));
    case Reading::total:
      return timing_of(line.at("total"));
    case Reading::sec:
      return timing_of(line.at("sec"));
    default: {
      const auto sum = [&](const char* key) {
        return line.at("enc").at(key).as_double() + line.at("dec").at(key).as_double();
      };
      return {sum("p50"), sum("min"), sum("p95"), 0};
    }
  }
}

}  // namespace

TorchResult run_torch(const TorchJob& job, const std::string& python,
                      const std::vector<std::filesystem::path>& programs, int threads) {
  std::vector<std::string> command = {python, find_program(job.program, programs).string()};
  command.insert(command.end(), job.arguments.begin(), job.arguments.end());
  // Else PyTorch returns its buffers to the system at each step.
  const Finished finished = run_process(command, {{"MALLOC_TRIM_THRESHOLD_", "4000000000"},
                                                  {"MALLOC_MMAP_THRESHOLD_", "4000000000"},
                                                  {"MALLOC_TOP_PAD_", "500000000"},
                                                  {"OMP_NUM_THREADS", std::to_string(threads)}});
  TorchResult result;
  result.peak_mib = finished.peak_mib;
  if (job.reading == Reading::process) {
    result.timing = summary({finished.seconds});
    return result;
  }
  const Json line = Json::try_parse(finished.out).value_or(Json());
  try {
    result.timing = read(line, job.reading);
  } catch (const tensor::Error&) {
    tensor::fail(ErrorKind::data, "{}: printed no timing: {}", job.program, finished.out.substr(0, 200));
  }
  check(result.timing.median > 0, ErrorKind::data, "{}: printed a time of {} s", job.program,
        result.timing.median);
  return result;
}

}  // namespace imgcap::bench
