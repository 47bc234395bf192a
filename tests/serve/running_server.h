// A real server on a thread of its own, at any free port of this machine.
#pragma once

#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "imgcap/serve/http.h"
#include "tests/serve/client.h"
#include "tests/serve/eventually.h"
#include "tests/skip.h"

#define NEEDS_SERVER() \
  if (!imgcap::serve::has_http_server()) SKIP("this build has no server")

namespace tests {

using Handler = std::function<void(const std::shared_ptr<imgcap::serve::Exchange>&)>;

struct Counting {
  std::string target;  // "": no head was read
  int status = 0;
  double seconds = 0;
};

// Requests whose exchanges are kept until the test wants them.
class Kept {
 public:
  Handler handler() {
    return [this](const std::shared_ptr<imgcap::serve::Exchange>& exchange) {
      const std::lock_guard lock(mutex_);
      all_.push_back(exchange);
    };
  }
  // The next one, when it has come.
  std::shared_ptr<imgcap::serve::Exchange> next() {
    REQUIRE(eventually([&] {
      const std::lock_guard lock(mutex_);
      return !all_.empty();
    }));
    const std::lock_guard lock(mutex_);
    auto exchange = std::move(all_.front());
    all_.erase(all_.begin());
    return exchange;
  }

 private:
  std::mutex mutex_;
  std::vector<std::shared_ptr<imgcap::serve::Exchange>> all_;
};

// Answers with method, target and body at once.
inline void echo(const std::shared_ptr<imgcap::serve::Exchange>& exchange) {
  const imgcap::serve::HttpRequest& request = exchange->request();
  exchange->respond({200, "text/plain", request.method + " " + request.target + " " + request.body});
}

class RunningServer {
 public:
  explicit RunningServer(Handler handle = echo, const imgcap::serve::HttpLimits& limits = {}) {
    imgcap::serve::HttpHandlers handlers;
    handlers.admit = [this](const imgcap::serve::HttpHead& head) {
      return admit ? admit(head) : std::nullopt;
    };
    handlers.handle = std::move(handle);
    handlers.refusal = [](const imgcap::serve::HttpHead*, int status, const std::string& text) {
      return imgcap::serve::HttpResponse{status, "text/plain", text};
    };
    handlers.answered = [this](const imgcap::serve::HttpHead* head, int status, double seconds) {
      const std::lock_guard lock(mutex_);
      answered_.push_back({head ? head->target : "", status, seconds});
    };
    server_ = std::make_unique<imgcap::serve::HttpServer>("127.0.0.1", 0, limits, std::move(handlers));
    port_ = server_->port();
    thread_ = std::thread([this] {
      server_->run(stop_);
      ended_ = true;
    });
  }
  ~RunningServer() { stop(); }
  RunningServer(const RunningServer&) = delete;
  RunningServer& operator=(const RunningServer&) = delete;

  int port() const { return port_; }
  int64_t connections() const { return server_->now().connections; }
  int64_t bodies() const { return server_->now().bodies; }
  void begin_stop() { stop_ = true; }
  bool ended() const { return ended_; }
  // Returns when the server is gone.
  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    server_.reset();
  }
  std::vector<Counting> answered() {
    const std::lock_guard lock(mutex_);
    return answered_;
  }
  Reply ask(const std::string& text) {
    Client client(port());
    client.send(text);
    return client.reply();
  }

  std::function<std::optional<imgcap::serve::HttpResponse>(const imgcap::serve::HttpHead&)> admit;

 private:
  std::mutex mutex_;
  std::vector<Counting> answered_;
  std::atomic<bool> stop_{false}, ended_{false};
  int port_ = 0;
  std::unique_ptr<imgcap::serve::HttpServer> server_;
  std::thread thread_;
};

// "POST /x" with a body, as HTTP/1.1.
inline std::string post(const std::string& body, const std::string& target = "/x") {
  return "POST " + target + " HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}
inline std::string get(const std::string& target = "/", const std::string& fields = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
}

}  // namespace tests
