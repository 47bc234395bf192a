// JSON with captions as a stream of its entries: nothing but these is ever held, however deep or large the
// rest of the text is made.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imgcap/data/captions_formats.h"

namespace imgcap::formats {

// An object of a list: an image, an annotation, a result; or a line of JSON lines. Numbers that are whole are
// kept as text, 139.0 as "139".
struct JsonEntry {
  std::optional<std::string> id, image_id, coco_id, image, folder, split, error;
  bool image_is_number = false;
  std::vector<std::string> texts;  // "caption", or the items of a list; an item may be an object with "raw"
  bool has_sentences = false;      // Karpathy's list of captions is there, be it empty
};

enum class JsonSection { images, annotations, results };

using JsonSink = std::function<void(JsonSection, const JsonEntry&)>;

// The objects of the root's array (as results), or of the root's "images", "annotations" and "captions" (the
// results of eval). Python's NaN and Infinity are let by. Errors: data (no valid JSON, or deeper than 256
// levels).
void read_json_document(std::string_view text, const std::string& name, const JsonSink& sink);

// One object with nothing below the root. Returns what is wrong with the JSON, "" for nothing.
std::string read_json_line(std::string_view text, JsonEntry& entry);

// As a text without NaN and Infinity, in `own` where it has to be another; nothing moves.
std::string_view without_nan(std::string_view text, std::string& own);

}  // namespace imgcap::formats
