// The service: what each address answers, behind any HttpServer.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "imgcap/explain.h"
#include "imgcap/serve/access.h"
#include "imgcap/serve/caption_wish.h"
#include "imgcap/serve/examples.h"
#include "imgcap/serve/http.h"
#include "imgcap/serve/run_view.h"

namespace imgcap::serve {

struct ServedModel {
  std::string name;  // short and different from the others'
  std::shared_ptr<const Captioner> captioner;
  std::shared_ptr<const Explainer> explainer{};  // null: /api/explain lacks this model
};

struct ServiceOptions {
  std::vector<ServedModel> models;  // at least one
  AccessRules access;
  int64_t queue = 64;  // photos that may wait or be worked on; more get 429
  int64_t photos_per_request = 32;
  int64_t pixels_per_request = int64_t{256} << 20;  // decoded; then no more of its photos are
  int readers = 2;                                  // threads that decode photos
  ImageLimits images;
  std::string version;
  std::vector<Example> examples{};
  std::shared_ptr<RunView> run{};  // a training run that is watched; null: none
};

// The model of that name, all for "all", the first for none. Errors: argument (there is none of that name).
std::vector<const ServedModel*> models_of(const ServiceOptions& options, const std::string& name);

// The models that are asked, each with the language that it is asked in. Of several models those that lack the
// language are left out. Errors: argument (none is left, or there is none of that name).
std::vector<std::pair<const ServedModel*, std::string>> asked_of(const ServiceOptions& options,
                                                                 const CaptionWish& wish);

class Service {
 public:
  explicit Service(ServiceOptions options);
  // Ends when what it was given is done.
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // For a server; they may be called until the service ends.
  HttpHandlers handlers();
  // Whose numbers /metrics tells; to be there until the service ends. Null: nobody's.
  void tell_of(const HttpNow* now);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace imgcap::serve
