// COCO's two JSON formats and the results of eval, read as a stream of events: nothing but the captions is
// ever held, however deep or large the rest of the file is made.
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "imgcap/data/captions_formats.h"
#include "tensor/error.h"

namespace imgcap::formats {
namespace {

using tensor::ErrorKind;
using tensor::fail;

struct Entry {  // one image, annotation or result
  std::optional<std::string> id, image_id, file_name, caption;
};

class CocoHandler : public nlohmann::json_sax<nlohmann::json> {
 public:
  CocoHandler(const std::string& name, bool results) : name_(name), results_(results) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t value) override { return scalar(std::to_string(value), true); }
  bool number_unsigned(number_unsigned_t value) override { return scalar(std::to_string(value), true); }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t& value) override { return scalar(value, false); }
  bool binary(binary_t&) override { return true; }

  bool start_object(size_t) override { return enter(true); }
  bool key(string_t& value) override {
    if (depth_ == 1 && !results_)
      section_ = value == "images"        ? kImages
                 : value == "annotations" ? kAnnotations
                 : value == "captions"    ? kResults
                                          : kOther;
    if (depth_ == entry_depth()) key_ = value;
    return true;
  }
  bool end_object() override {
    if (in_entry_ && depth_ == entry_depth()) finish_entry();
    --depth_;
    return true;
  }
  bool start_array(size_t) override { return enter(false); }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool parse_error(size_t at, const std::string&, const nlohmann::detail::exception&) override {
    error_at_ = at;
    return false;
  }

  // Throws at the place that was wrong; `text` is the text that was parsed.
  [[noreturn]] void fail_in(std::string_view text) const {
    const std::string_view before = text.substr(0, error_at_ > 0 ? std::min(error_at_ - 1, text.size()) : 0);
    size_t line = 1, start = 0;
    for (size_t i = 0; i < before.size(); ++i)
      if (before[i] == '\n') ++line, start = i + 1;
    if (too_deep_) fail(ErrorKind::data, "{}: JSON nested deeper than {} levels", name_, kMaxDepth);
    fail(ErrorKind::data, "{}:{}: no valid JSON at column {}", name_, line, before.size() - start + 1);
  }

  void add_to(CaptionFile& file) const {
    std::unordered_map<std::string, int> counts;
    std::unordered_set<std::string> by_id;
    for (const auto& [image_id, text, place, result] : captions_) {
      const std::string where = tensor::format("{}: {} {}", name_, result ? "result" : "annotation", place);
      const auto found = images_.find(image_id);
      if (!result && found == images_.end()) {
        file.report.skip(
            tensor::format("{}: no image has the id {}", where, image_id.empty() ? "(none)" : image_id));
        continue;
      }
      const std::string& image = result ? image_id : found->second;
      const size_t before = file.captions.size();
      add_caption(image, counts[image], text, where, file);
      if (file.captions.size() == before) continue;
      ++counts[image];
      if (!result && unnamed_.contains(image_id)) by_id.insert(image_id);
    }
    file.image_of_id = images_;  // none in a list of results
    file.images_by_id = by_id.size();
  }

 private:
  enum Section { kOther, kImages, kAnnotations, kResults };
  static constexpr int kMaxDepth = 256;

  // Entries are objects in an array: the root, or the value of a key of the root.
  int entry_depth() const { return results_ ? 2 : 3; }

  bool enter(bool object) {
    if (++depth_ > kMaxDepth) {
      too_deep_ = true;
      return false;
    }
    if (depth_ == entry_depth() - 1) in_list_ = !object;
    if (depth_ == entry_depth() && object) {
      in_entry_ = in_list_ && (results_ || section_ != kOther);
      entry_ = {};
      key_.clear();
    }
    return true;
  }

  bool scalar(std::string value, bool number) {
    if (!in_entry_ || depth_ != entry_depth()) return true;
    if (key_ == "id")
      entry_.id = std::move(value);
    else if (key_ == "image_id")
      entry_.image_id = std::move(value);
    else if (key_ == "file_name" && !number)
      entry_.file_name = std::move(value);
    else if (key_ == "caption" && !number)
      entry_.caption = std::move(value);
    return true;
  }

  void finish_entry() {
    in_entry_ = false;
    if (!results_ && section_ == kImages) {
      if (!entry_.id) return;
      const std::string name(trim(entry_.file_name.value_or("")));
      if (name.empty()) unnamed_.insert(*entry_.id);
      images_.emplace(*entry_.id, name.empty() ? *entry_.id : name);
      return;
    }
    // What is missing is left empty and reported with the others later.
    captions_.push_back({entry_.image_id.value_or(""), entry_.caption.value_or(""), ++entries_,
                         results_ || section_ == kResults});
  }

  const std::string& name_;
  const bool results_;
  int depth_ = 0;
  bool in_list_ = false, in_entry_ = false, too_deep_ = false;
  Section section_ = kOther;
  std::string key_;
  Entry entry_;
  size_t error_at_ = 0, entries_ = 0;
  std::unordered_map<std::string, std::string> images_;  // id -> file name, or the id where there is none
  std::unordered_set<std::string> unnamed_;              // ids of those
  struct Found {
    std::string image_id, text;
    size_t place;  // in the file
    bool result;   // image_id names the image itself
  };
  std::vector<Found> captions_;
};

}  // namespace

void parse_coco(std::string_view text, const std::string& name, CaptionFile& file) {
  CocoHandler handler(name, trim(text).starts_with('['));
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &handler)) handler.fail_in(text);
  handler.add_to(file);
}

}  // namespace imgcap::formats
