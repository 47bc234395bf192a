#include "imgcap/settings/setting.h"

#include "tensor/error.h"
#include "tensor/format.h"
#include "tensor/io/text.h"

namespace imgcap::internal {
namespace {

// `called` with the value in its {}, or with what else there is to say.
std::string sentence(const Row& row, const std::string& value, const std::string& else_says) {
  const std::string text = row.called;
  return text.find("{}") == std::string::npos ? text + else_says : filled(text, value);
}

std::string range(const Bounds& b, bool whole) {
  if (b.wanted != nullptr) return b.wanted;
  if (b.above_low) return tensor::format("over {} and at most {}", b.low, b.high);
  if (b.high == kGreatest) return tensor::format("at least {}", b.low);
  if (whole) return tensor::format("{} to {}", b.low, b.high);
  return tensor::format("in [{}, {}{}", b.low, b.high, b.below_high ? ")" : "]");
}

}  // namespace

void refuse_number(const char* owner, const Row& row, const std::string& value, bool whole) {
  tensor::fail(tensor::ErrorKind::argument, "{}: {}", owner,
               sentence(row, value, " is " + value + "; it has to be " + range(row.bounds, whole)));
}

void refuse_name(const char* owner, const Row& row, const std::string& name,
                 const std::vector<std::string>& names) {
  const std::string quoted = tensor::io::in_quotes(name);
  tensor::fail(tensor::ErrorKind::argument, "{}: {}", owner,
               sentence(row, quoted, " " + quoted + " is none of " + tensor::join(names, ", ")));
}

std::string filled(std::string text, const std::string& value) {
  return text.replace(text.find("{}"), 2, value);
}

std::string text_of(int64_t value) { return tensor::format("{}", value); }
std::string text_of(double value) { return tensor::format("{}", value); }

}  // namespace imgcap::internal
