// Requests without a network: what a server would do with a service's handlers.
#pragma once

#include <doctest/doctest.h>

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "imgcap/serve/http.h"
#include "tests/json.h"

namespace tests {

struct Event {
  std::string name;
  tensor::io::Json data;
};

struct Answered {
  int status = 0;
  std::string type, body;
  std::map<std::string, std::string> fields;
  std::vector<Event> events;
  bool in_events = false;

  tensor::io::Json json() const { return read_json(body); }
  std::string error() const { return json().at("error").as_text(); }
};

class MadeExchange final : public imgcap::serve::Exchange {
 public:
  explicit MadeExchange(imgcap::serve::HttpRequest request) : request_(std::move(request)) {}

  const imgcap::serve::HttpRequest& request() const override { return request_; }
  const std::atomic<bool>& over() const override { return over_; }
  void respond(imgcap::serve::HttpResponse response) override {
    const std::lock_guard lock(mutex_);
    CHECK_FALSE((ended_ || answer_.in_events));
    set(std::move(response));
    end();
  }
  void begin_events(imgcap::serve::HttpFields fields) override {
    const std::lock_guard lock(mutex_);
    CHECK_FALSE((ended_ || answer_.in_events));
    answer_.in_events = true;
    set({200, "text/event-stream", "", std::move(fields)});
  }
  void event(std::string_view name, std::string_view data) override {
    if (on_event) on_event(std::string(name));
    const std::lock_guard lock(mutex_);
    CHECK((answer_.in_events && !ended_));
    CHECK(data.find('\n') == std::string_view::npos);
    answer_.events.push_back({std::string(name), read_json(data)});
  }
  void end_events() override {
    const std::lock_guard lock(mutex_);
    CHECK((answer_.in_events && !ended_));
    end();
  }

  void leave() { over_ = true; }
  Answered wait() {
    std::unique_lock lock(mutex_);
    REQUIRE(answered_.wait_for(lock, std::chrono::minutes(2), [&] { return ended_; }));
    return answer_;
  }

  std::function<void(const std::string& name)> on_event;

 private:
  void set(imgcap::serve::HttpResponse response) {
    answer_.status = response.status;
    answer_.type = response.type;
    answer_.body = response.body;
    for (const auto& [name, value] : response.fields) CHECK(answer_.fields.emplace(name, value).second);
  }
  void end() {
    ended_ = true;
    answered_.notify_all();
  }

  const imgcap::serve::HttpRequest request_;
  std::atomic<bool> over_{false};
  std::mutex mutex_;
  std::condition_variable answered_;
  Answered answer_;
  bool ended_ = false;
};

// "POST", "/api/caption?beam=2", fields in small letters; Host is localhost where none is given.
inline imgcap::serve::HttpRequest made_request(const std::string& method, const std::string& target,
                                               const imgcap::serve::HttpFields& fields = {},
                                               const std::string& body = "") {
  imgcap::serve::HttpRequest request;
  request.method = method;
  request.target = target;
  request.fields = fields;
  request.body = body;
  if (request.field("host").empty()) request.fields.emplace_back("host", "localhost");
  return request;
}

// What the handlers answer.
inline Answered ask(const imgcap::serve::HttpHandlers& handlers, const imgcap::serve::HttpRequest& request) {
  const auto exchange = std::make_shared<MadeExchange>(request);
  if (auto refusal = handlers.admit(request))
    exchange->respond(std::move(*refusal));
  else
    handlers.handle(exchange);
  return exchange->wait();
}

}  // namespace tests
