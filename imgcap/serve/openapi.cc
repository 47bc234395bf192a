#include "imgcap/serve/openapi.h"

#include "imgcap/metrics/scores.h"
#include "imgcap/serve/caption_wish.h"

namespace imgcap::serve {
namespace {

using tensor::io::Json;

Json ref(const std::string& name) { return Json::object({{"$ref", "#/components/schemas/" + name}}); }
Json of_type(const char* type) { return Json::object({{"type", type}}); }
Json list_of(Json item) { return Json::object({{"type", "array"}, {"items", std::move(item)}}); }

Json object_of(const std::vector<std::pair<std::string, Json>>& members,
               const std::vector<std::string>& required) {
  Json properties = Json::object();
  for (const auto& [name, schema] : members) properties.add(name, schema);
  Json json = Json::object({{"type", "object"}, {"properties", std::move(properties)}});
  if (!required.empty()) json["required"] = required;
  return json;
}

Json content(const std::string& type, Json schema) {
  return Json::object({{type, Json::object({{"schema", std::move(schema)}})}});
}

Json answer(const char* description, Json body) {
  return Json::object({{"description", description}, {"content", std::move(body)}});
}

Json error(const char* description) { return answer(description, content("application/json", ref("Error"))); }

template <class T>
Json schema_of(const Row& row, const T& by_default) {
  Json schema;
  if constexpr (std::same_as<T, bool>)
    schema = of_type("boolean");
  else
    schema = of_type(std::integral<T> ? "integer" : "number");
  schema["description"] = row.help;
  schema["default"] = by_default;
  if constexpr (std::same_as<T, uint64_t>) {
    schema["minimum"] = 0;
    schema["maximum"] = UINT64_MAX;
  }
  if (row.bounds.limited) {
    const auto bound = [](double value) {
      return std::integral<T> ? Json(static_cast<int64_t>(value)) : Json(value);
    };
    schema[row.bounds.above_low ? "exclusiveMinimum" : "minimum"] = bound(row.bounds.low);
    schema[row.bounds.below_high ? "exclusiveMaximum" : "maximum"] = bound(row.bounds.high);
  }
  return schema;
}

// The options of /api/caption by name, as schemas.
std::vector<std::pair<std::string, Json>> options(const OpenApiFacts& facts) {
  std::vector<std::pair<std::string, Json>> all;
  for (const auto& [name, help] : text_options()) {
    Json schema = name == "suppress" ? list_of(of_type("string")) : of_type("string");
    schema["description"] = help;
    if (name == "model" || name == "language") {
      std::vector<std::string> values = name == "model" ? facts.models : facts.languages;
      values.emplace_back("all");
      if (name == "language" && facts.languages.empty()) continue;
      schema["enum"] = values;
    }
    all.emplace_back(name, std::move(schema));
  }
  WishNumbers wish;
  for_each_setting(
      wish, [&]<class T>(const Row& row, T& value) { all.emplace_back(row.name, schema_of(row, value)); });
  return all;
}

Json photo_bytes() { return Json::object({{"type", "string"}, {"format", "binary"}}); }

// A call that takes photos, with options in the query or, of this schema, in a form.
Json photo_call(const char* name, const char* summary, const std::vector<std::pair<std::string, Json>>& wish,
                Json form_options, Json answer_body) {
  Json parameters = Json::array();
  for (const auto& [option, schema] : wish)
    parameters.push_back(Json::object({{"name", option}, {"in", "query"}, {"schema", schema}}));
  Json form = object_of({{"photo", list_of(photo_bytes())}, {"options", std::move(form_options)}}, {"photo"});
  Json body = content("multipart/form-data", std::move(form));
  for (const char* type : {"application/octet-stream", "image/*"})
    body[type] = Json::object({{"schema", photo_bytes()}});
  Json call =
      Json::object({{"summary", summary},
                    {"operationId", name},
                    {"parameters", std::move(parameters)},
                    {"requestBody", Json::object({{"required", true}, {"content", std::move(body)}})}});
  call["responses"] = Json::object(
      {{"200", answer(summary, std::move(answer_body))},
       {"400", error("The request is malformed, an option is out of bounds, or the model lacks a word")},
       {"413", error("The body is too large")},
       {"415", error("The body is of another type")},
       {"422", error("A photo cannot be read")},
       {"429", error("Too many photos are waiting; see Retry-After")},
       {"503", error("The answer took too long, or the server is full")}});
  return call;
}

Json caption_call(const OpenApiFacts& facts) {
  std::vector<std::pair<std::string, Json>> wish = options(facts);
  Json name = of_type("string");
  name["description"] = "The photo's name in the answer, where the body is one photo";
  wish.emplace_back("name", std::move(name));
  Json captions = content("application/json", ref("Captions"));
  captions["text/event-stream"] = Json::object({{"schema", of_type("string")}});
  Json call = photo_call("caption", "Captions of photos", wish, ref("Options"), std::move(captions));
  call["description"] =
      "Photos as multipart/form-data, or one as the body. With Accept: text/event-stream the answer comes as "
      "events: photo, words (a caption while it grows), caption, problem, and end.";
  call["responses"]["422"] = error("No photo can be read");
  return call;
}

Json explain_call(const OpenApiFacts& facts) {
  std::vector<std::pair<std::string, Json>> wish;
  for (const auto& [name, schema] : options(facts))
    if (name == "model" || name == "language" || name == "preview") wish.emplace_back(name, schema);
  Json text = of_type("string");
  text["description"] = "The sentence, or the beginning of one";
  wish.emplace_back("text", std::move(text));
  return photo_call("explain", "Why a model would say a sentence about a photo", wish, object_of(wish, {}),
                    content("application/json", ref("Explanations")));
}

Json report_call(const OpenApiFacts& facts) {
  std::vector<std::pair<std::string, Json>> wish = options(facts);
  Json title = of_type("string");
  title["description"] =
      "The page's. A form's options may also have \"texts\": what people wrote of each photo, or \"\"";
  wish.emplace_back("title", std::move(title));
  return photo_call("report", "A page of photos with a model's captions and where it looked", wish,
                    object_of(wish, {}), content("text/html", of_type("string")));
}

Json score_call() {
  const Json text = of_type("string");
  const auto by_image = [](Json value) {
    return Json::object({{"type", "object"}, {"additionalProperties", std::move(value)}});
  };
  Json language = text;
  language["description"] =
      "Of the captions, as en; scores of most languages are on words as Unicode has them";
  Json body = object_of(
      {{"candidates", by_image(text)}, {"references", by_image(list_of(text))}, {"language", language}},
      {"candidates", "references"});
  body["additionalProperties"] = false;
  std::vector<std::pair<std::string, Json>> scores = {{"images", of_type("integer")}};
  for (const char* name : kScoreNames) scores.emplace_back(name, of_type("number"));
  Json call = Json::object(
      {{"summary", "Scores of captions against references"},
       {"operationId", "score"},
       {"requestBody",
        Json::object({{"required", true}, {"content", content("application/json", std::move(body))}})}});
  call["responses"] = Json::object(
      {{"200", answer("BLEU, ROUGE-L and CIDEr",
                      content("application/json", object_of(scores, {"images", "CIDEr"})))},
       {"400", error("The request is malformed, or images have captions in one of the two alone")},
       {"413", error("The body is too large")},
       {"415", error("The body is of another type")},
       {"429", error("Too much is waiting; see Retry-After")},
       {"503", error("The answer took too long, or the server is full")}});
  return call;
}

Json get_call(const char* name, const char* summary, Json body) {
  return Json::object({{"summary", summary},
                       {"operationId", name},
                       {"responses", Json::object({{"200", answer(summary, std::move(body))}})}});
}

Json schemas(const OpenApiFacts& facts) {
  const Json number = of_type("number"), integer = of_type("integer"), text = of_type("string");
  const Json word =
      object_of({{"word", text}, {"probability", number}, {"confidence", number}}, {"word", "probability"});
  const Json attention = object_of(
      {{"rows", integer}, {"columns", integer}, {"words", list_of(text)}, {"maps", list_of(list_of(number))}},
      {"rows", "columns", "words", "maps"});
  const std::vector<std::pair<std::string, Json>> caption = {
      {"caption", text}, {"log_probability", number}, {"confidence", number}, {"words", list_of(word)}};
  std::vector<std::pair<std::string, Json>> best = caption;
  best.insert(best.begin(), {{"model", text}, {"language", text}});
  best.emplace_back("attention", attention);
  best.emplace_back("alternatives", list_of(object_of(caption, {"caption", "log_probability", "words"})));
  best.emplace_back("milliseconds", number);
  Json orientation = integer;
  orientation["minimum"] = 1;
  orientation["maximum"] = 8;
  // What every answer says of a photo; each adds its own.
  const std::vector<std::pair<std::string, Json>> seen = {
      {"name", text},   {"width", integer}, {"height", integer}, {"orientation", orientation},
      {"format", text}, {"warning", text},  {"preview", text}};
  auto captioned = seen, explained_photo = seen;
  captioned.emplace_back("captions",
                         list_of(object_of(best, {"model", "caption", "log_probability", "words"})));
  captioned.emplace_back("error", text);
  const Json model =
      object_of({{"name", text},
                 {"kind", text},
                 {"encoder", text},
                 {"vocabulary", integer},
                 {"photo_size", list_of(integer)},
                 {"languages", list_of(object_of({{"code", text}, {"words", integer}}, {"code", "words"}))},
                 {"language", text},
                 {"device", text},
                 {"attention", of_type("boolean")},
                 {"confidence", of_type("boolean")}},
                {"name", "kind"});
  const Json chance = object_of({{"word", text}, {"probability", number}}, {"word", "probability"});
  Json explained = object_of({{"word", text}, {"probability", number}, {"others", list_of(chance)}},
                             {"word", "probability", "others"});
  Json kind = text;
  kind["enum"] = std::vector<std::string>{"attention", "gradient"};
  Json maps = object_of({{"kind", kind},
                         {"rows", integer},
                         {"columns", integer},
                         {"words", list_of(text)},
                         {"maps", list_of(list_of(number))}},
                        {"kind", "rows", "columns", "words", "maps"});
  const Json explanation = object_of({{"model", text},
                                      {"language", text},
                                      {"text", text},
                                      {"log_probability", number},
                                      {"words", list_of(std::move(explained))},
                                      {"next", list_of(chance)},
                                      {"attention", std::move(maps)}},
                                     {"model", "text", "log_probability", "words", "next"});
  explained_photo.emplace_back("explanations", list_of(explanation));
  const Json example =
      object_of({{"name", text}, {"photo", text}, {"licence", text}, {"author", text}, {"source", text}},
                {"name", "photo", "licence", "author", "source"});
  Json all = Json::object();
  all.add("Examples", object_of({{"examples", list_of(example)}}, {"examples"}));
  all.add("Explanations",
          object_of({{"photos", list_of(object_of(explained_photo, {"name", "width", "height", "orientation",
                                                                    "format", "explanations"}))}},
                    {"photos"}));
  all.add("Error", object_of({{"error", text}}, {"error"}));
  Json wish = object_of(options(facts), {});
  wish["additionalProperties"] = false;
  all.add("Options", std::move(wish));
  all.add("Captions",
          object_of({{"photos", list_of(object_of(captioned, {}))}, {"notes", list_of(text)}}, {"photos"}));
  all.add("Models", object_of({{"models", list_of(model)}}, {"models"}));
  return all;
}

}  // namespace

Json openapi(const OpenApiFacts& facts) {
  Json json = Json::object({{"openapi", "3.1.0"}});
  json["info"] =
      Json::object({{"title", "ImgCap"}, {"version", facts.version}, {"summary", "Captions for photos"}});
  json["servers"] = Json::array();
  json["servers"].push_back(Json::object({{"url", facts.root_path.empty() ? "/" : facts.root_path}}));
  Json paths = Json::object();
  paths.add("/api/caption", Json::object({{"post", caption_call(facts)}}));
  paths.add("/api/explain", Json::object({{"post", explain_call(facts)}}));
  paths.add("/api/report", Json::object({{"post", report_call(facts)}}));
  paths.add("/api/score", Json::object({{"post", score_call()}}));
  paths.add("/api/examples",
            Json::object({{"get", get_call("examples", "The photos that ship with the program",
                                           content("application/json", ref("Examples")))}}));
  paths.add("/api/models", Json::object({{"get", get_call("models", "The models that the server has",
                                                          content("application/json", ref("Models")))}}));
  if (facts.run) {
    paths.add("/api/run", Json::object({{"get", get_call("run", "The training run that is watched",
                                                         content("application/json", of_type("object")))}}));
    Json preview =
        get_call("run_preview", "A photo that the run is validated on", content("image/jpeg", photo_bytes()));
    preview["parameters"] = Json::array();
    Json number = of_type("integer");
    number["minimum"] = 0;
    preview["parameters"].push_back(Json::object(
        {{"name", "number"}, {"in", "query"}, {"required", true}, {"schema", std::move(number)}}));
    preview["responses"]["404"] = error("There is no such photo");
    paths.add("/api/run/preview", Json::object({{"get", std::move(preview)}}));
  }
  paths.add(
      "/healthz",
      Json::object({{"get", get_call("healthz", "The server is there",
                                     content("application/json",
                                             object_of({{"status", of_type("string")}}, {"status"})))}}));
  paths.add("/metrics",
            Json::object({{"get", get_call("metrics", "Numbers for Prometheus",
                                           content("text/plain; version=0.0.4", of_type("string")))}}));
  json["paths"] = std::move(paths);
  Json components = Json::object({{"schemas", schemas(facts)}});
  if (facts.token) {
    components["securitySchemes"] =
        Json::object({{"token", Json::object({{"type", "http"}, {"scheme", "bearer"}})}});
    json["security"] = Json::array();
    json["security"].push_back(Json::object({{"token", Json::array()}}));
  }
  json["components"] = std::move(components);
  return json;
}

}  // namespace imgcap::serve
