// The op database for users: what ops there are, and whether each is right on this machine.
#include <algorithm>
#include <array>
#include <memory>

#include "autograd/testing/op_suite.h"
#include "imgcap/cli/cli.h"
#include "imgcap/cli/device_option.h"
#include "imgcap/testing/op_records.h"
#include "tensor/error.h"
#include "tensor/io/json.h"

namespace imgcap::cli {
namespace {

using autograd::testing::OpRecord;
using autograd::testing::OpReport;
using tensor::io::Json;

struct Options {
  std::vector<std::string> ops;
  std::string device = "cpu";
  int64_t samples = 0;
  bool json = false;
};

const char* text_of(OpRecord::Derivatives derivatives) {
  switch (derivatives) {
    case OpRecord::Derivatives::none:
      return "none";
    case OpRecord::Derivatives::once:
      return "first";
    case OpRecord::Derivatives::twice:
      return "first and second";
  }
  return "";
}

std::string types() {
  std::string text;
  for (const tensor::DType dtype : autograd::testing::kFloatTypes)
    text += (text.empty() ? "" : " ") + std::string(tensor::name_of(dtype));
  return text;
}

std::vector<const OpRecord*> chosen(const std::vector<std::string>& names) {
  std::vector<const OpRecord*> records;
  for (const OpRecord& record : testing::op_database())
    if (names.empty()) records.push_back(&record);
  for (const std::string& name : names) {
    const OpRecord* record = autograd::testing::find_op(name, testing::op_database());
    std::string near;
    for (const std::string& other : autograd::testing::similar_ops(name, testing::op_database()))
      near += (near.empty() ? "" : ", ") + other;
    tensor::check(record != nullptr, tensor::ErrorKind::argument,
                  "gradcheck: there is no op '{}'{}; imgcap ops lists them", name,
                  near.empty() ? "" : " (" + near + "?)");
    records.push_back(record);
  }
  return records;
}

// With its first samples alone; 0: with all.
OpRecord shortened(OpRecord record, int64_t samples) {
  if (samples > 0 && static_cast<size_t>(samples) < record.samples.size())
    record.samples.resize(static_cast<size_t>(samples));
  return record;
}

// What is said behind an op's numbers.
std::string remark(const OpReport& r) {
  if (!r.ok()) return "  FAILED";
  if (r.without_code.empty()) return "";
  return tensor::format("  {}: no device code for {}", r.forward_alone ? "forward alone" : "left out",
                        r.without_code);
}

void run(const Options& o, Program& program) {
  const std::vector<const OpRecord*> records = chosen(o.ops);
  constexpr int64_t kBytes = int64_t{64} << 20;
  const tensor::Device device = choose_device(o.device, kBytes);
  if (!o.json)
    print(tensor::format("{:<28}{:>8}{:>8}{:>10}{:>10}{:>10}{:>10}{:>14}{:>10}\n", "op", "samples", "checks",
                         "f32", "f64", "f16", "bf16", "derivatives", "seconds"));
  int64_t samples = 0, checks = 0, failed = 0, left_out = 0;
  double seconds = 0;
  Json list = Json::array();
  for (const OpRecord* record : records) {
    const OpReport r = check_op(shortened(*record, o.samples), device);
    samples += r.samples;
    checks += r.checks;
    seconds += r.seconds;
    failed += !r.ok();
    left_out += !r.without_code.empty();
    if (o.json) {
      list.push_back(Json::object(
          {{"op", r.name},
           {"ok", r.ok()},
           {"samples", r.samples},
           {"checks", r.checks},
           {"worst_relative_error",
            Json::object(
                {{"f32", r.worst_f32}, {"f64", r.worst_f64}, {"f16", r.worst_f16}, {"bf16", r.worst_bf16}})},
           {"worst_derivative_error", r.worst_derivative},
           {"seconds", r.seconds},
           {"without_code", r.without_code},
           {"forward_alone", r.forward_alone},
           {"failures", r.failures}}));
      continue;
    }
    print(tensor::format("{:<28}{:>8}{:>8}{:>10.1e}{:>10.1e}{:>10.1e}{:>10.1e}{:>14.1e}{:>10.2f}{}\n", r.name,
                         r.samples, r.checks, r.worst_f32, r.worst_f64, r.worst_f16, r.worst_bf16,
                         r.worst_derivative, r.seconds, remark(r)));
    for (const std::string& failure : r.failures) print("  " + failure + "\n");
  }
  if (failed > 0) program.exit_code = 1;
  if (o.json)
    print_line(Json::object({{"device", to_string(device)},
                             {"ops", list},
                             {"samples", samples},
                             {"checks", checks},
                             {"failed", failed},
                             {"left_out", left_out}}));
  else
    print(tensor::format("{} ops, {} samples, {} checks on {} in {:.1f} s: {}{}\n", records.size(), samples,
                         checks, to_string(device), seconds,
                         failed == 0 ? "all pass" : tensor::format("{} fail", failed),
                         left_out == 0 ? "" : tensor::format("; {} ops wait for device code", left_out)));
}

// Each column as wide as its longest cell.
std::string aligned(const std::vector<std::array<std::string, 4>>& rows) {
  std::array<size_t, 4> widths{};
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (const auto& row : rows) {
    for (size_t i = 0; i + 1 < row.size(); ++i)
      text += row[i] + std::string(widths[i] - row[i].size() + 2, ' ');
    text += row.back() + "\n";
  }
  return text;
}

void list_ops(const Options& o) {
  std::vector<std::array<std::string, 4>> rows = {{"op", "derivatives", "types", "file"}};
  for (const OpRecord& r : testing::op_database()) {
    const std::string file = r.path();
    if (o.json)
      print_line(Json::object({{"op", r.name},
                               {"derivatives", text_of(r.derivatives)},
                               {"types", types()},
                               {"fused", r.fused},
                               {"file", file}}));
    else
      rows.push_back({r.name, text_of(r.derivatives), types(), file + (r.fused ? ", fused" : "")});
  }
  if (!o.json) print(aligned(rows));
}

}  // namespace

void add_gradcheck(Verb& app, Program& program) {
  Verb verb = add_verb(
      app, program, "gradcheck",
      "Check every op on this machine: results, derivatives, layouts, threads, errors; on a device values and "
      "first derivatives against the CPU's");
  const auto o = std::make_shared<Options>();
  verb.option("--op", o->ops, "Ops to check (default: all; imgcap ops lists them)");
  verb.option("--samples", o->samples, "Only so many samples of each op (0: all)").range(0, 1000);
  add_device_option(verb, o->device);
  verb.flag("--json", o->json, "JSON alone on stdout");
  verb.on_run([o, &program] { run(*o, program); });
}

void add_ops(Verb& app, Program& program) {
  Verb verb = add_verb(app, program, "ops", "List the ops: derivatives, types and where each is");
  const auto o = std::make_shared<Options>();
  verb.flag("--json", o->json, "JSON alone on stdout: a line per op");
  verb.on_run([o] { list_ops(*o); });
}

}  // namespace imgcap::cli
