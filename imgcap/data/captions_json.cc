#include "imgcap/data/captions_json.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "imgcap/data/text_file.h"
#include "tensor/error.h"

namespace imgcap::formats {
namespace {

using tensor::ErrorKind;
using tensor::fail;

constexpr int kMaxDepth = 256;

class EntryHandler : public nlohmann::json_sax<nlohmann::json> {
 public:
  // Entries are objects at this depth: 1 for a line, 2 in the root's array, 3 in the lists of a root object.
  EntryHandler(int entry_depth, const JsonSink& sink) : entry_depth_(entry_depth), sink_(sink) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t value) override { return scalar(std::to_string(value), true); }
  bool number_unsigned(number_unsigned_t value) override { return scalar(std::to_string(value), true); }
  bool number_float(number_float_t value, const string_t&) override {
    const bool whole = std::abs(value) < 9007199254740992.0 && std::trunc(value) == value;
    return !whole || scalar(std::to_string(static_cast<int64_t>(value)), true);
  }
  bool string(string_t& value) override { return scalar(value, false); }
  bool binary(binary_t&) override { return true; }

  bool start_object(size_t) override { return enter(true); }
  bool key(string_t& value) override {
    if (entry_depth_ == 3 && depth_ == 1) {
      section_ = value == "images"        ? JsonSection::images
                 : value == "annotations" ? JsonSection::annotations
                                          : JsonSection::results;
      known_section_ = section_ != JsonSection::results || value == "captions";
    }
    if (depth_ == entry_depth_) key_ = value;
    if (in_list_of_texts_ && depth_ == entry_depth_ + 2) item_key_ = value;
    return true;
  }
  bool end_object() override {
    if (in_entry_ && depth_ == entry_depth_) {
      in_entry_ = false;
      sink_(section_, entry_);
    }
    if (in_item_ && depth_ == entry_depth_ + 2) finish_item();
    --depth_;
    return true;
  }
  bool start_array(size_t) override { return enter(false); }
  bool end_array() override {
    if (depth_ == entry_depth_ + 1) in_list_of_texts_ = false;
    --depth_;
    return true;
  }
  bool parse_error(size_t at, const std::string&, const nlohmann::detail::exception&) override {
    error_at_ = at;
    return false;
  }

  size_t error_at() const { return error_at_; }  // from 1
  bool too_deep() const { return too_deep_; }

 private:
  bool enter(bool object) {
    if (++depth_ > kMaxDepth) {
      too_deep_ = true;
      return false;
    }
    if (depth_ == entry_depth_ - 1) in_list_ = !object;
    if (depth_ == entry_depth_) {
      in_entry_ = object && in_list_ && known_section_;
      entry_ = {};
      key_.clear();
      in_list_of_texts_ = in_item_ = false;
    } else if (in_entry_ && depth_ == entry_depth_ + 1) {
      in_list_of_texts_ = !object && field_of(key_) == Field::text;
      entry_.has_sentences = entry_.has_sentences || (in_list_of_texts_ && key_ == "sentences");
    } else if (in_list_of_texts_ && depth_ == entry_depth_ + 2) {
      in_item_ = object;
      item_.reset();
      tokens_.clear();
      item_key_.clear();
    }
    return true;
  }

  bool scalar(std::string value, bool number) {
    if (!in_entry_) return true;
    if (depth_ == entry_depth_) return field(std::move(value), number);
    if (!in_list_of_texts_ || number) return true;
    if (depth_ == entry_depth_ + 1) {
      entry_.texts.push_back(std::move(value));
    } else if (in_item_ && depth_ == entry_depth_ + 2) {
      if (!item_ && field_of(item_key_) == Field::text) item_ = std::move(value);
    } else if (in_item_ && depth_ == entry_depth_ + 3 && item_key_ == "tokens") {
      tokens_ += (tokens_.empty() ? "" : " ") + value;
    }
    return true;
  }

  bool field(std::string value, bool number) {
    const auto take = [&](std::optional<std::string>& to) {
      if (!to) to = std::move(value);
    };
    if (key_ == "id")
      take(entry_.id);
    else if (key_ == "cocoid")
      take(entry_.coco_id);
    else if (key_ == "filepath")
      take(entry_.folder);
    else if (const Field kind = field_of(key_); kind == Field::image_id)
      take(entry_.image_id);
    else if (kind == Field::image)
      entry_.image_is_number = number, take(entry_.image);
    else if (kind == Field::split && !number)
      take(entry_.split);
    else if (kind == Field::error && !number)
      take(entry_.error);
    else if (kind == Field::text && !number)
      entry_.texts.push_back(std::move(value));
    return true;
  }

  // The sentence as it was, or else its words.
  void finish_item() {
    entry_.texts.push_back(item_ ? std::move(*item_) : std::move(tokens_));
    item_.reset();
    tokens_.clear();
    in_item_ = false;
  }

  const int entry_depth_;
  const JsonSink& sink_;
  int depth_ = 0;
  bool in_list_ = true, in_entry_ = false, known_section_ = true, too_deep_ = false;
  bool in_list_of_texts_ = false, in_item_ = false;
  JsonSection section_ = JsonSection::results;
  std::string key_, item_key_, tokens_;
  std::optional<std::string> item_;
  JsonEntry entry_;
  size_t error_at_ = 0;
};

bool parse(std::string_view text, EntryHandler& handler) {
  return nlohmann::json::sax_parse(text.begin(), text.end(), &handler);
}

}  // namespace

std::string_view without_nan(std::string_view text, std::string& own) {
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      quoted = c != '"';
      continue;
    }
    quoted = c == '"';
    if (c != 'N' && c != 'I' && c != '-') continue;
    for (const std::string_view word : {"NaN", "Infinity", "-Infinity"}) {
      if (!text.substr(i).starts_with(word)) continue;
      if (own.empty()) own = text;
      own.replace(i, word.size(), "[]" + std::string(word.size() - 2, ' '));
      i += word.size() - 1;
      break;
    }
  }
  return own.empty() ? text : own;
}

void read_json_document(std::string_view text, const std::string& name, const JsonSink& sink) {
  std::string own;
  text = without_nan(text, own);
  EntryHandler handler(trim(text).starts_with('[') ? 2 : 3, sink);
  if (parse(text, handler)) return;
  if (handler.too_deep()) fail(ErrorKind::data, "{}: JSON nested deeper than {} levels", name, kMaxDepth);
  const size_t at = handler.error_at();
  const std::string_view before = text.substr(0, at > 0 ? std::min(at - 1, text.size()) : 0);
  const size_t start = before.rfind('\n') + 1;  // 0 without one
  fail(ErrorKind::data, "{}:{}: no valid JSON at column {}", name,
       std::count(before.begin(), before.end(), '\n') + 1, before.size() - start + 1);
}

std::string read_json_line(std::string_view text, JsonEntry& entry) {
  std::string own;
  text = without_nan(text, own);
  const JsonSink sink = [&](JsonSection, const JsonEntry& found) { entry = found; };
  EntryHandler handler(1, sink);
  if (parse(text, handler)) return "";
  return handler.too_deep() ? tensor::format("JSON nested deeper than {} levels", kMaxDepth)
                            : tensor::format("no valid JSON at column {}", handler.error_at());
}

}  // namespace imgcap::formats
