#include "imgcap/serve/answers.h"

namespace imgcap::serve {

using tensor::ErrorKind;
using tensor::io::Json;

HttpResponse json_answer(const Json& json, int status) {
  return {status, "application/json", json.dump() + "\n", {{"Cache-Control", "no-store"}}};
}

HttpResponse error_answer(int status, std::string_view text) {
  return json_answer(Json::object({{"error", text}}), status);
}

HttpResponse busy_answer() {
  HttpResponse busy = error_answer(429, "as many photos are waiting as the server takes; try again later");
  busy.fields.emplace_back("Retry-After", "2");
  return busy;
}

HttpResponse error_answer(const tensor::Error& error) {
  const bool theirs = error.kind() == ErrorKind::data || error.kind() == ErrorKind::argument;
  return theirs ? error_answer(400, error.what()) : error_answer(500, "the server failed");
}

}  // namespace imgcap::serve
