#include "imgcap/caption_json.h"

namespace imgcap {

using tensor::io::Json;

namespace {

Json json_of(const std::vector<WordProbability>& words) {
  Json list = Json::array();
  for (const WordProbability& each : words)
    list.push_back(Json::object({{"word", each.word}, {"probability", each.probability}}));
  return list;
}

}  // namespace

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

void add_to(Json& json, const AttentionMaps& maps) {
  json["rows"] = maps.rows;
  json["columns"] = maps.columns;
  json["words"] = maps.words;
  json["maps"] = Json::array();
  for (const std::vector<float>& map : maps.maps) json["maps"].push_back(map);
}

void add_to(Json& json, const Explanation& explanation) {
  if (!explanation.language.empty()) json["language"] = explanation.language;
  json["text"] = explanation.text;
  json["log_probability"] = explanation.log_probability;
  json["words"] = Json::array();
  for (const ExplainedWord& word : explanation.words)
    json["words"].push_back(Json::object(
        {{"word", word.word}, {"probability", word.probability}, {"others", json_of(word.others)}}));
  json["next"] = json_of(explanation.next);
  if (explanation.maps.maps.empty()) return;
  json["attention"] = Json::object({{"kind", to_string(explanation.kind)}});
  add_to(json["attention"], explanation.maps);
}

}  // namespace imgcap
