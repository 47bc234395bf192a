// Runs the whole op database, a test case a family.
#include "autograd/testing/op_suite.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>

#include "imgcap/testing/op_records.h"
#include "tests/data_dir.h"

using namespace autograd::testing;

namespace {

// The CPU, or what IMGCAP_TEST_DEVICE names, for a build that has it.
tensor::Device device_under_test() {
  const char* name = std::getenv("IMGCAP_TEST_DEVICE");
  return tensor::parse_device(name == nullptr ? "cpu" : name);
}

void check_family(const char* family) {
  int64_t ops = 0, samples = 0, checks = 0;
  double f32 = 0, f64 = 0, derivative = 0;
  for (const OpRecord& record : imgcap::testing::op_database()) {
    if (record.family != family) continue;
    const OpReport report = check_op(record, device_under_test());
    for (const std::string& failure : report.failures) FAIL_CHECK(failure);
    CHECK(report.samples > 0);
    if (!report.without_code.empty()) MESSAGE(record.name << ": no device code for " << report.without_code);
    ++ops;
    samples += report.samples;
    checks += report.checks;
    f32 = std::max(f32, report.worst_f32);
    f64 = std::max(f64, report.worst_f64);
    derivative = std::max(derivative, report.worst_derivative);
  }
  REQUIRE(ops > 0);
  MESSAGE(std::string(family) << ": " << ops << " ops, " << samples << " samples, " << checks
                              << " checks; worst errors: f32 " << f32 << ", f64 " << f64 << ", derivatives "
                              << derivative);
}

}  // namespace

TEST_CASE("op database: arithmetic") { check_family("arithmetic"); }
TEST_CASE("op database: activation") { check_family("activation"); }
TEST_CASE("op database: reduce") { check_family("reduce"); }
TEST_CASE("op database: shape") { check_family("shape"); }
TEST_CASE("op database: matmul") { check_family("matmul"); }
TEST_CASE("op database: softmax") { check_family("softmax"); }
TEST_CASE("op database: cross_entropy") { check_family("cross_entropy"); }
TEST_CASE("op database: conv2d") { check_family("conv2d"); }
TEST_CASE("op database: pool") { check_family("pool"); }
TEST_CASE("op database: batch_norm") { check_family("batch_norm"); }
TEST_CASE("op database: embedding") { check_family("embedding"); }
TEST_CASE("op database: dropout") { check_family("dropout"); }
TEST_CASE("op database: lstm") { check_family("lstm"); }
TEST_CASE("op database: attention") { check_family("attention"); }
TEST_CASE("op database: decoder_sequence") { check_family("decoder_sequence"); }

TEST_CASE(
    "op database: each public op has a record, each record a sample of size 1 or less and an empty one") {
  std::set<std::string> records;
  for (const OpRecord& record : imgcap::testing::op_database()) {
    CHECK_MESSAGE(records.insert(record.name).second, record.name, " twice");
    bool smallest = false, empty = false;
    for (const Sample& sample : record.samples)
      for (const SampleInput& input : sample.inputs) {
        smallest = smallest || input.values.numel() <= 1;
        empty = empty || (input.kind == SampleInput::Kind::floating && input.values.numel() == 0);
      }
    CHECK_MESSAGE(smallest, record.name);
    CHECK_MESSAGE(empty, record.name);
    CHECK_MESSAGE(std::string(record.tolerance.reason).size() > 10, record.name);
    CHECK_MESSAGE(std::filesystem::exists(tests::source_dir() / record.path()), record.path());
  }
  for (const char* header : {"autograd/ops.h", "imgcap/models/decoder_sequence/decoder_sequence.h"}) {
    std::ifstream text(tests::source_dir() / header);
    const std::regex declaration(
        R"(^(?:Variable|Tensor|TopK|LstmState|LstmSequence|Attention|DecoderOutputs) (\w+)\()");
    int found = 0;
    for (std::string line; std::getline(text, line);) {
      std::smatch match;
      if (!std::regex_search(line, match, declaration)) continue;
      ++found;
      CHECK_MESSAGE(records.contains(match[1]), match[1].str(), " of ", header, " has no record");
    }
    CHECK(found >= 2);
  }
}

TEST_CASE("op database: names that resemble another") {
  CHECK(find_op("matmul") != nullptr);
  CHECK(find_op("matmull") == nullptr);
  CHECK(similar_ops("matmull") == std::vector<std::string>{"matmul"});
  CHECK(similar_ops("lstm").size() >= 3);
  CHECK(similar_ops("zzzzzz").empty());
  // Of a longer list.
  CHECK(find_op("decoder_sequence") == nullptr);
  CHECK(find_op("decoder_sequence", imgcap::testing::op_database()) != nullptr);
  CHECK(similar_ops("decoder_sequense", imgcap::testing::op_database()) ==
        std::vector<std::string>{"decoder_sequence"});
  CHECK_THROWS(check_op(*find_op("add"), tensor::Device::cuda(9)));
}
