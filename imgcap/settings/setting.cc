#include "imgcap/settings/setting.h"

#include "tensor/error.h"
#include "tensor/format.h"
#include "tensor/io/text.h"

namespace imgcap::internal {
namespace {

std::string refusal(const Row& row, const std::string& value, const std::string& else_says) {
  return row.sentence != nullptr ? filled(row.sentence, value) : row.called + else_says;
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
               refusal(row, value, " is " + value + "; it has to be " + range(row.bounds, whole)));
}

void refuse_name(const char* owner, const Row& row, const std::string& name,
                 const std::vector<std::string>& names) {
  const std::string quoted = tensor::io::in_quotes(name);
  tensor::fail(tensor::ErrorKind::argument, "{}: {}", owner,
               refusal(row, quoted, " " + quoted + " is none of " + tensor::join(names, ", ")));
}

std::string filled(std::string text, const std::string& value) {
  const size_t field = text.find("{}");
  return field == std::string::npos ? text : text.replace(field, 2, value);
}

std::string text_of(int64_t value) { return tensor::format("{}", value); }
std::string text_of(double value) { return tensor::format("{}", value); }

}  // namespace imgcap::internal
