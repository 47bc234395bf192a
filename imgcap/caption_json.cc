#include "imgcap/caption_json.h"

namespace imgcap {

using tensor::io::Json;

void add_to(Json& json, const PhotoCaption& caption) {
  json["caption"] = caption.text;
  json["log_probability"] = caption.log_probability;
  if (caption.confidence) json["confidence"] = *caption.confidence;
  json["words"] = Json::array();
  for (const WordProbability& each : caption.words) {
    Json word = Json::object({{"word", each.word}, {"probability", each.probability}});
    if (each.confidence) word["confidence"] = *each.confidence;
    json["words"].push_back(std::move(word));
  }
}

}  // namespace imgcap
