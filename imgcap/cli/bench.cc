#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "imgcap/bench/device_ceilings.h"
#include "imgcap/bench/machine.h"
#include "imgcap/bench/process.h"
#include "imgcap/bench/rows.h"
#include "imgcap/bench/scale.h"
#include "imgcap/bench/temporary_folder.h"
#include "imgcap/cli/bench_scale.h"
#include "imgcap/cli/cli.h"
#include "imgcap/cli/device_option.h"
#include "imgcap/cli/model_options.h"
#include "imgcap/cli/settings.h"
#include "imgcap/training/precision.h"
#include "tensor/error.h"
#include "tensor/io/json.h"
#include "tensor/thread_pool.h"

namespace imgcap::cli {
namespace {

using bench::Timing;
using tensor::Device;
using tensor::io::Json;

struct Options {
  std::vector<std::string> only;
  std::string worker, photo, images, device = "cpu";
  Precision precision = Precision::f32;
  int64_t calls = 5, pairs = 3;
  bool json = false, scale = false, without_onednn = false;

  std::string photos() const { return images.empty() ? assets_folder() + "/photos" : images; }
};

std::string weights_in_the_box() { return assets_folder() + "/model/efficientnet_lite2.safetensors"; }

// One row's runs.
struct Result {
  std::string name, what, unit;
  double per_call = 1;
  std::vector<Timing> runs;
  double peak_mib = 0;
  Json device;  // what the last run says of its device; null on the CPU
};

Json to_json(const Timing& t) { return Json::object({{"median", t.median}, {"min", t.min}, {"max", t.max}}); }

Timing of_runs(const std::vector<Timing>& runs) {
  std::vector<double> medians, least, most;
  for (const Timing& t : runs) medians.push_back(t.median), least.push_back(t.min), most.push_back(t.max);
  return {bench::median(medians), *std::min_element(least.begin(), least.end()),
          *std::max_element(most.begin(), most.end()), static_cast<int64_t>(runs.size())};
}

const std::string kCaption = "caption";
constexpr int64_t kBytes = int64_t{3} << 30;  // that the largest row takes of a device

std::vector<std::string> all_rows(Precision precision = Precision::f32, const Device& device = {}) {
  std::vector<std::string> names = bench::row_names(precision, device);
  if (precision == Precision::f32 && device.is_cpu()) names.push_back(kCaption);
  return names;
}

// A row by its name or the start of its name up to a hyphen: "resnet50" means both of its rows.
std::vector<std::string> chosen_rows(const std::vector<std::string>& only, Precision precision,
                                     const Device& device) {
  const std::vector<std::string> all = all_rows(precision, device);
  if (only.empty()) return all;
  std::vector<std::string> chosen;
  for (const std::string& name : only) {
    const size_t before = chosen.size();
    const auto is_one = [&](const std::vector<std::string>& rows) {
      return std::find(rows.begin(), rows.end(), name) != rows.end();
    };
    const bool exact = is_one(all), elsewhere = !exact && is_one(all_rows());
    for (const std::string& row : all)
      if (exact ? row == name : !elsewhere && row.starts_with(name + "-")) chosen.push_back(row);
    tensor::check(chosen.size() > before, tensor::ErrorKind::argument,
                  "bench: there is no row '{}' in {}; there are {}", name, bench::rows_of(precision, device),
                  tensor::join(all, ", "));
  }
  return chosen;
}

std::string this_program() { return std::filesystem::read_symlink("/proc/self/exe").string(); }

const std::string kMachine = "machine", kCeilings = "ceilings";

// What `--worker name` prints: a row, the machine, what its device can do, or with --scale a series.
bench::Finished run_worker(const std::string& name, const Options& o) {
  std::vector<std::string> command = {this_program(), "bench",
                                      "--worker",     name,
                                      "--calls",      std::to_string(o.calls),
                                      "--threads",    std::to_string(tensor::num_threads()),
                                      "--precision",  to_string(o.precision),
                                      "--device",     o.device,
                                      "--images",     o.photos()};
  if (o.scale) command.emplace_back("--scale");
  return bench::run_process(command, stop_flag());
}

// Each run has a process of its own, so that its peak memory is its own, too.
void run_once(const Options& o, Result& r) {
  if (r.name == kCaption) {
    const std::string threads = std::to_string(tensor::num_threads());
    const std::string photo = o.photo.empty() ? assets_folder() + "/photos/coco_000000000285.jpg" : o.photo;
    std::vector<double> seconds;
    for (int64_t k = 0; k < o.calls + 1; ++k) {
      const bench::Finished f = bench::run_process(
          {this_program(), "caption", "--threads", threads, "--beam", "5", photo}, stop_flag());
      if (k > 0) seconds.push_back(f.seconds);  // the first one warms the disk's cache
      r.peak_mib = std::max(r.peak_mib, f.peak_mib);
    }
    r.what = "process start to caption, model in the box, beam 5";
    r.unit = "photos";
    r.runs.push_back(bench::summary(seconds));
    return;
  }
  const bench::Finished f = run_worker(r.name, o);
  const Json line = Json::parse(f.out, "bench");
  r.what = line.at("what").as_text();
  r.unit = line.at("unit").as_text();
  r.per_call = line.at("per_call").as_double();
  const Json& t = line.at("seconds");
  r.runs.push_back({t.at("median").as_double(), t.at("min").as_double(), t.at("max").as_double(), o.calls});
  r.peak_mib = std::max(r.peak_mib, f.peak_mib);
  if (const Json* device = line.find("device")) r.device = *device;
}

Result run_row(const std::string& name, const Options& o) {
  Result r;
  r.name = name;
  for (int64_t run = 0; run < o.pairs; ++run) run_once(o, r);
  return r;
}

Json row_json(const Result& r, Precision precision) {
  const Timing timing = of_runs(r.runs);
  Json json = Json::object({{"name", r.name},
                            {"what", r.what},
                            {"precision", to_string(precision)},
                            {"unit", r.unit},
                            {"per_second", r.per_call / timing.median},
                            {"seconds", to_json(timing)},
                            {"runs", timing.calls},
                            {"peak_mib", r.peak_mib}});
  if (!r.device.is_null()) json["device"] = r.device;
  return json;
}

// What a row asks of its device, for --json and for the process that asked for the row.
Json device_json(const bench::Row& row, const Device& device) {
  const bench::DeviceWork work = row.timing.device.value_or(bench::DeviceWork{});
  Json ops = Json::array();
  for (const auto& [name, op] : work.ops)
    ops.push_back(Json::object({{"op", name},
                                {"launches", op.count.launches},
                                {"flops", op.count.flops},
                                {"bytes", op.count.bytes},
                                {"seconds", op.seconds}}));
  return Json::object({{"name", to_string(device)},
                       {"launches", work.launches},
                       {"busy_seconds", work.seconds},
                       {"peak_mib", row.device_peak_mib},
                       {"ops", ops}});
}

std::string device_text(const Json& device) {
  return tensor::format("  {:<18} {:>10} launches a call, which keep it busy for {:.4f} s   {:>6.0f} MiB\n",
                        device.at("name").as_text(), device.at("launches").as_int64(),
                        device.at("busy_seconds").as_double(), device.at("peak_mib").as_double());
}

std::string row_text(const Result& r) {
  const Timing t = of_runs(r.runs);
  return tensor::format("{}: {}\n  {:<18} {:>10.2f} {}/s   {:.4f} s ({:.4f} to {:.4f})   {:>6.0f} MiB\n",
                        r.name, r.what, "imgcap", r.per_call / t.median, r.unit, t.median, t.min, t.max,
                        r.peak_mib) +
         (r.device.is_null() ? "" : device_text(r.device));
}

std::string bf16_text(const Json& m) {
  const double peak = m.at("peak_bf16_gflops").as_double();
  return peak > 0 ? tensor::format("{:.0f} bf16 ({})", peak, m.at("peak_bf16_by").as_text()) : "no bf16";
}

std::string machine_text(const Json& m) {
  std::vector<std::string> sets;
  for (const Json& set : m.at("instruction_sets").items()) sets.push_back(set.as_text());
  return tensor::format(
      "{}, {} of {} processors, {}\npeak {:.0f} GFLOP/s float32, {}, {:.1f} GB/s memory; products by {}\n\n",
      m.at("processor").as_text(), m.at("threads").as_int64(), m.at("processors").as_int64(),
      tensor::join(sets, " "), m.at("peak_gflops").as_double(), bf16_text(m),
      m.at("bandwidth_gb_per_second").as_double(), m.at("products").as_text());
}

Json to_json(const bench::Machine& m) {
  return Json::object({{"processor", m.processor},
                       {"instruction_sets", m.instruction_sets},
                       {"processors", m.processors},
                       {"threads", m.threads},
                       {"peak_gflops", m.gflops},
                       {"peak_bf16_gflops", m.bf16.gflops},
                       {"peak_bf16_by", m.bf16.by},
                       {"bandwidth_gb_per_second", m.bandwidth},
                       {"products", m.products}});
}

// What rows of a device are read against; its name alone where it is emulated.
Json ceilings_json(const Device& device) {
  Json json = Json::object({{"device", describe_device(device)}});
  if (const auto most = bench::measure_ceilings(device)) {
    json["copy_gb_per_second"] = most->copy_gb_per_second;
    json["f32_tflops"] = most->f32_tflops;
    json["f16_tflops"] = most->f16_tflops;
  }
  return json;
}

void run_rows(const Options& o) {
  const Device device = tensor::parse_device(o.device);
  const std::vector<std::string> rows = chosen_rows(o.only, o.precision, device);
  // In a process of its own, too: what this one has used at most counts as used by those that it starts.
  Json machine = Json::parse(run_worker(kMachine, o).out, "bench");
  if (!device.is_cpu()) machine["device"] = describe_device(device);
  Json json = Json::object({{"machine", machine}, {"rows", Json::array()}});
  if (o.json && o.device != "cpu") json["ceilings"] = Json::parse(run_worker(kCeilings, o).out, "bench");
  if (!o.json) print(machine_text(machine));
  for (const std::string& name : rows) {
    const Result r = run_row(name, o);
    if (o.json)
      json["rows"].push_back(row_json(r, o.precision));
    else
      print(row_text(r));
  }
  if (o.json) print(json.dump(1) + "\n");
}

ScaleRequest scale_request(const Options& o) {
  return {o.only, std::min<int64_t>(o.calls, 3), o.photos(), weights_in_the_box(), o.json};
}

// What the processes that it starts leave behind goes with a folder of this one: Ctrl-C ends them anywhere.
void run_all(const Options& o) {
  const StopSignals signals;
  const bench::TemporaryFolder folder;
  setenv("TMPDIR", folder.path().c_str(), 1);
  try {
    o.scale ? run_scale(scale_request(o), [&](const std::string& name) { return run_worker(name, o).out; })
            : run_rows(o);
  } catch (const bench::ProcessStopped&) {
    throw Interrupted{};
  }
}

void run(Options o) {
  // For the processes that it starts: this one read it when it was loaded.
  if (o.without_onednn) setenv("IMGCAP_WITHOUT_ONEDNN", "1", 1);
  tensor::check(!o.scale || !o.worker.empty() || o.precision == Precision::f32, tensor::ErrorKind::argument,
                "bench: --scale measures in f32; leave out --precision");
  tensor::check(!o.scale || o.device == "cpu", tensor::ErrorKind::argument,
                "bench: --scale measures the CPU; leave out --device");
  // A process that is started for a row has it from the one that starts it, which has said so.
  const Device device = o.worker.empty() ? choose_device(o.device, kBytes) : tensor::parse_device(o.device);
  o.device = to_string(device);
  // Without oneDNN 16 bits are emulated.
  if (o.precision == Precision::automatic)
    o.precision = o.without_onednn ? Precision::f32 : choose_precision(device).precision;
  if (o.worker == kMachine) return print_line(to_json(bench::describe_machine()));
  if (o.worker == kCeilings) return print_line(ceilings_json(device));
  if (!o.worker.empty() && o.scale) return run_scale_worker(o.worker, scale_request(o));
  if (!o.worker.empty()) {
    const bench::Row row =
        bench::run_row(o.worker, {o.calls, o.precision, device, o.photos(), weights_in_the_box()});
    Json line = Json::object({{"what", row.what},
                              {"unit", row.unit},
                              {"per_call", row.per_call},
                              {"seconds", to_json(row.timing)}});
    if (!device.is_cpu()) line["device"] = device_json(row, device);
    return print_line(line);
  }
  run_all(o);
}

}  // namespace

void add_bench(Verb& app, Program& program) {
  Verb verb = add_verb(app, program, "bench", "Time training, encoding and captioning on this machine");
  const auto o = std::make_shared<Options>();
  verb.option("--only", o->only, "Rows to run (default: all): " + tensor::join(all_rows(), ", "));
  add_choice(verb, "--precision", o->precision, "Of the arithmetic; rows that do not have it are left out");
  add_device_option(verb, o->device);
  verb.flag("--without-onednn", o->without_onednn, "Compute as a build without oneDNN does");
  verb.option("--calls", o->calls, "Calls per run, after warm-up (--scale: 3 at most)").range(1, 1000);
  verb.option("--pairs", o->pairs, "Runs of each row; their median counts").range(1, 100);
  verb.option("--photo", o->photo, "Photo of the row caption (default: one in the box)");
  verb.option("--images", o->images, "Folder of photos for prepare (default: those in the box)");
  verb.flag(
      "--scale", o->scale,
      "How time grows with the work, in place of rows; --only: " + tensor::join(bench::scale_names(), ", "));
  verb.option("--worker", o->worker, "").group("");  // one row in this process
  verb.flag("--json", o->json, "JSON alone on stdout");
  verb.on_run([o] { run(*o); });
}

}  // namespace imgcap::cli
