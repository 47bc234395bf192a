#include "imgcap/training/weights_file.h"

#include <algorithm>
#include <string_view>

#include "tensor/error.h"
#include "tensor/finite.h"
#include "tensor/io/pth.h"
#include "tensor/io/safetensors.h"
#include "tensor/io/text.h"

namespace imgcap {

using tensor::check;
using tensor::ErrorKind;
using tensor::Tensor;
using tensor::io::in_quotes;

namespace {

constexpr size_t kMostNamed = 3;      // values that one sentence names
constexpr size_t kMostPrefixes = 64;  // that are tried
constexpr size_t kAnchors = 3;        // wanted names by which prefixes are found: one may be missing

// "3 values that are neither tensors nor numbers are left out: 'args' (argparse.Namespace()), ..."
std::string left_out(const std::string& file, const std::map<std::string, std::string>& others) {
  std::string text = tensor::format(
      "{}: {} that {} left out: ", file,
      others.size() == 1 ? "a value" : tensor::format("{} values", others.size()),
      others.size() == 1 ? "is neither a tensor nor a number is" : "are neither tensors nor numbers are");
  size_t named = 0;
  for (const auto& [name, what] : others) {
    if (named == kMostNamed) return text + tensor::format(" and {} more", others.size() - named);
    const std::string quoted = in_quotes(what);  // escaped; Python prints no quotes around it
    text += tensor::format("{}{} ({})", named++ == 0 ? "" : ", ", in_quotes(name),
                           quoted.substr(1, quoted.size() - 2));
  }
  return text;
}

}  // namespace

std::string first_part(const std::string& name) {
  return name.substr(0, std::min(name.find('.'), name.size() - 1) + 1);
}

WeightsFile read_weights(const std::filesystem::path& file) {
  if (file.extension() == ".safetensors") {
    tensor::io::SafetensorsFile read = tensor::io::read_safetensors(file);
    return {std::move(read.tensors), std::move(read.metadata), {}};
  }
  return read_torch_file(file);
}

WeightsFile read_torch_file(const std::filesystem::path& file) {
  tensor::io::PthFile read = tensor::io::read_pth(file);
  WeightsFile result{std::move(read.tensors), std::move(read.scalars), {}};
  if (!read.others.empty()) result.remarks.push_back(left_out(file.string(), read.others));
  return result;
}

std::vector<std::string> not_finite(const std::string& file, const std::map<std::string, Tensor>& tensors) {
  int64_t values = 0;
  size_t count = 0;
  std::string named;
  for (const auto& [name, value] : tensors) {
    const int64_t found = tensor::count_non_finite(value);
    if (found == 0) continue;
    values += found;
    if (count++ < kMostNamed)
      named += tensor::format("{}{} ({})", named.empty() ? "" : ", ", in_quotes(name), found);
  }
  if (count == 0) return {};
  if (count > kMostNamed) named += tensor::format(" and {} more tensors", count - kMostNamed);
  return {tensor::format("{}: {} {} NaN or infinite: {}", file, values,
                         values == 1 ? "value is" : "values are", named)};
}

void take_prefix(std::map<std::string, Tensor>& tensors, const std::vector<std::string>& wanted,
                 const std::set<std::string>& parts, const std::string& origin,
                 std::vector<std::string>& remarks) {
  std::set<std::string> prefixes{""};
  for (size_t i = 0; i < std::min(wanted.size(), kAnchors); ++i) {
    const std::string& anchor = wanted[i * (wanted.size() - 1) / std::max<size_t>(1, kAnchors - 1)];
    for (const auto& [name, value] : tensors)
      if (name.size() > anchor.size() && name.ends_with("." + anchor))
        prefixes.insert(name.substr(0, name.size() - anchor.size()));
  }
  std::string best;
  int64_t most = -1;
  std::vector<std::string> whole;
  size_t tried = 0;
  for (const std::string& prefix : prefixes) {
    if (++tried > kMostPrefixes) break;
    const int64_t found = std::count_if(wanted.begin(), wanted.end(), [&](const std::string& name) {
      return tensors.contains(prefix + name);
    });
    if (found == static_cast<int64_t>(wanted.size())) whole.push_back(prefix);
    if (found > most) most = found, best = prefix;
  }
  // Names without a prefix are what is meant.
  if (!whole.empty() && whole.front().empty()) whole.resize(1), best = "";
  if (whole.size() > 1) {
    std::vector<std::string> names;
    for (const std::string& prefix : whole) names.push_back(in_quotes(prefix));
    tensor::fail(ErrorKind::data,
                 "{}: such weights are there {} times, under {}; choose: imgcap convert {} "
                 "FILE.safetensors --rename {}=",
                 origin, whole.size(), tensor::join(names, ", "), origin, whole.front());
  }

  if (whole.empty() && best.empty()) return;
  std::map<std::string, Tensor> taken;
  size_t others = 0;
  std::set<std::string> other_parts;
  for (auto& [name, value] : tensors) {
    std::string rest = name.starts_with(best) ? name.substr(best.size()) : "";
    if (!rest.empty() && (whole.empty() || parts.contains(first_part(rest))))
      taken.emplace(std::move(rest), value);
    else
      ++others, other_parts.insert(first_part(name));
  }
  if (!best.empty())
    remarks.push_back(
        tensor::format("{}: its names begin with {}, which is left out", origin, in_quotes(best)));
  if (others > 0) {
    std::string named;
    size_t count = 0;
    for (const std::string& part : other_parts)
      if (count++ < kMostNamed) named += tensor::format("{}{}", named.empty() ? "" : ", ", in_quotes(part));
    remarks.push_back(tensor::format("{}: {} of other parts {} not used: {}{}", origin,
                                     others == 1 ? "a tensor" : tensor::format("{} tensors", others),
                                     others == 1 ? "is" : "are", named, count > kMostNamed ? ", ..." : ""));
  }
  tensors = std::move(taken);
}

}  // namespace imgcap
