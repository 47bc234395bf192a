#include "imgcap/serve/service.h"

#include <algorithm>
#include <map>
#include <set>

#include "imgcap/serve/answers.h"
#include "imgcap/serve/caption_api.h"
#include "imgcap/serve/counters.h"
#include "imgcap/serve/openapi.h"
#include "imgcap/serve/page_files.h"
#include "imgcap/serve/upload.h"
#include "tensor/error.h"

namespace imgcap::serve {
namespace {

using tensor::io::Json;

const PageFile* page_file(std::string_view path) {
  for (const PageFile& file : page_files())
    if (file.path == path) return &file;
  return nullptr;
}

Json json_of(const ServedModel& model) {
  const Captioner& captioner = *model.captioner;
  const Preprocessing& size = captioner.encoder().preprocessing;
  Json json = Json::object({{"name", model.name},
                            {"kind", to_string(captioner.decoder().config().kind)},
                            {"encoder", captioner.info().encoder},
                            {"vocabulary", captioner.vocabulary().size()}});
  json["photo_size"] = std::vector<int64_t>{size.height, size.width};
  if (captioner.vocabulary().has_languages()) {
    json["languages"] = Json::array();
    for (const Language& language : captioner.vocabulary().languages())
      json["languages"].push_back(
          Json::object({{"code", language.code}, {"words", captioner.vocabulary().words(language)}}));
    json["language"] = captioner.default_language();
  }
  json["attention"] = captioner.decoder().config().kind == DecoderKind::attention;
  json["confidence"] = !captioner.info().confidence.empty();
  return json;
}

}  // namespace

class Service::Impl {
 public:
  explicit Impl(ServiceOptions options) : options_(std::move(options)), captions_(options_, counters_) {
    add("healthz", "GET", "/healthz", [](const auto& exchange) {
      exchange->respond(json_answer(Json::object({{"status", "ok"}})));
    }).open = true;
    add("models", "GET", "/api/models", [this](const auto& exchange) { exchange->respond(models()); });
    add("openapi", "GET", "/openapi.json",
        [this](const auto& exchange) { exchange->respond(description()); });
    add("metrics", "GET", "/metrics", [this](const auto& exchange) { exchange->respond(metrics()); });
    add("caption", "POST", "/api/caption", [this](const auto& exchange) {
      captions_.handle(exchange);
    }).takes_photos = true;
  }

  std::optional<HttpResponse> admit(const HttpHead& head) const {
    const auto refused = [&](const std::optional<Refusal>& refusal) {
      HttpResponse response = error_answer(refusal->status, refusal->text);
      response.fields.insert(response.fields.end(), refusal->fields.begin(), refusal->fields.end());
      return guarded(std::move(response), &head);
    };
    const std::string_view path = inner_path(options_.access, head.path());
    const Route* route = route_of(path);
    const bool open = page_file(path) != nullptr || (route != nullptr && route->open);
    if (const auto refusal = refused_site(options_.access, head); refusal && !(route && route->open))
      return refused(refusal);
    if (head.method == "OPTIONS" && !head.field("origin").empty()) return guarded(preflight(), &head);
    if (!options_.access.root_path.empty() && path.empty())
      return guarded({301, "", "", {{"Location", options_.access.root_path + "/"}}}, &head);
    if (!open)
      if (const auto refusal = refused_token(options_.access, head)) return refused(refusal);
    if (route == nullptr && page_file(path) == nullptr)
      return refused(Refusal{404, "there is nothing at this address"});
    const std::string method = route ? route->method : "GET";
    if (head.method != method && !(method == "GET" && head.method == "HEAD"))
      return refused(
          Refusal{405, "this address takes " + method, {{"Allow", method == "GET" ? "GET, HEAD" : method}}});
    if (route && route->takes_photos && !takes_photos(head.field("content-type")))
      return refused(
          Refusal{415, "photos are sent as multipart/form-data, as application/octet-stream or as image/*"});
    return std::nullopt;
  }

  void handle(const std::shared_ptr<Exchange>& bare) {
    const auto exchange = std::make_shared<Guarded>(*this, bare);
    const std::string_view path = inner_path(options_.access, exchange->request().path());
    if (const Route* route = route_of(path)) return route->handle(exchange);
    const PageFile& file = *page_file(path);
    if (exchange->request().field("if-none-match") == file.etag)
      return exchange->respond({304, "", "", {{"ETag", std::string(file.etag)}}});
    exchange->respond({200,
                       std::string(file.type),
                       std::string(file.bytes),
                       {{"Cache-Control", "no-cache"}, {"ETag", std::string(file.etag)}}});
  }

  HttpResponse guarded(HttpResponse response, const HttpHead* head) const {
    for (auto& field : guarding_fields(options_.access, head)) response.fields.push_back(std::move(field));
    return response;
  }

  void answered(const HttpHead* head, int status, double seconds) {
    const std::string_view path = head ? inner_path(options_.access, head->path()) : std::string_view{};
    const Route* route = route_of(path);
    counters_.answered(route ? route->name : page_file(path) ? "page" : "other", status, seconds);
  }

  void tell_of(const HttpNow* now) { now_ = now; }

 private:
  using Handler = std::function<void(const std::shared_ptr<Exchange>&)>;
  struct Route {
    std::string name, method, path;
    Handler handle;
    bool open = false;  // without a token, and whatever the host's name
    bool takes_photos = false;
  };

  // An exchange whose answers have the guarding fields.
  class Guarded final : public Exchange {
   public:
    Guarded(const Impl& service, std::shared_ptr<Exchange> inner)
        : service_(service), inner_(std::move(inner)) {}
    const HttpRequest& request() const override { return inner_->request(); }
    const std::atomic<bool>& over() const override { return inner_->over(); }
    void respond(HttpResponse response) override {
      inner_->respond(service_.guarded(std::move(response), &request()));
    }
    void begin_events(HttpFields fields) override {
      inner_->begin_events(service_.guarded({200, "", "", std::move(fields)}, &request()).fields);
    }
    void event(std::string_view name, std::string_view data) override { inner_->event(name, data); }
    void end_events() override { inner_->end_events(); }

   private:
    const Impl& service_;
    std::shared_ptr<Exchange> inner_;
  };

  Route& add(const char* name, const char* method, const char* path, Handler handle) {
    return routes_.emplace_back(Route{name, method, path, std::move(handle)});
  }

  const Route* route_of(std::string_view path) const {
    for (const Route& route : routes_)
      if (route.path == path) return &route;
    return nullptr;
  }

  static HttpResponse preflight() {
    return {204,
            "",
            "",
            {{"Access-Control-Allow-Methods", "GET, POST"},
             {"Access-Control-Allow-Headers", "Authorization, Content-Type"},
             {"Access-Control-Max-Age", "600"}}};
  }

  HttpResponse models() const {
    Json json = Json::object({{"models", Json::array()}});
    for (const ServedModel& model : options_.models) json["models"].push_back(json_of(model));
    return json_answer(json);
  }

  HttpResponse description() const {
    OpenApiFacts facts{options_.version, options_.access.root_path, !options_.access.token.empty()};
    std::set<std::string> languages;
    for (const ServedModel& model : options_.models) {
      facts.models.push_back(model.name);
      for (const Language& language : model.captioner->vocabulary().languages())
        if (!language.code.empty()) languages.insert(language.code);
    }
    facts.languages.assign(languages.begin(), languages.end());
    return json_answer(openapi(facts));
  }

  HttpResponse metrics() const {
    const QueueNumbers& queue = captions_.queue();
    std::vector<Counters::Gauge> gauges = {
        {"imgcap_photos_now", "Photos that wait or are worked on.", captions_.photos()},
        {"imgcap_searches_waiting", "Searches that are in no batch yet.", queue.waiting},
        {"imgcap_batches", "Batches so far.", queue.batches},
        {"imgcap_searches", "Searches in them.", queue.searches},
        {"imgcap_searches_dropped", "Searches that nobody waited for any more.", queue.dropped}};
    if (now_ != nullptr) {
      gauges.push_back({"imgcap_connections", "Open connections.", now_->connections});
      gauges.push_back({"imgcap_body_bytes", "Bytes of requests' bodies that are held.", now_->bodies});
    }
    return {200, "text/plain; version=0.0.4", counters_.text(gauges), {{"Cache-Control", "no-store"}}};
  }

  const ServiceOptions options_;
  Counters counters_;
  std::vector<Route> routes_;
  const HttpNow* now_ = nullptr;
  CaptionApi captions_;
};

Service::Service(ServiceOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Service::~Service() = default;

HttpHandlers Service::handlers() {
  HttpHandlers handlers;
  handlers.admit = [this](const HttpHead& head) { return impl_->admit(head); };
  handlers.handle = [this](const std::shared_ptr<Exchange>& exchange) { impl_->handle(exchange); };
  handlers.refusal = [this](int status, const std::string& text) {
    return impl_->guarded(error_answer(status, text), nullptr);
  };
  handlers.answered = [this](const HttpHead* head, int status, double seconds) {
    impl_->answered(head, status, seconds);
  };
  return handlers;
}

void Service::tell_of(const HttpNow* now) { impl_->tell_of(now); }

}  // namespace imgcap::serve
