// HttpServer of a build without Boost.
#include "imgcap/serve/http.h"
#include "tensor/error.h"

namespace imgcap::serve {

struct HttpServer::State {
  HttpNow now;
};

HttpServer::HttpServer(const std::string&, int, const HttpLimits&, HttpHandlers) {
  tensor::fail(tensor::ErrorKind::argument,
               "serve: this build has no server: build it where Boost 1.81 is (Debian: libboost1.81-dev)");
}

HttpServer::~HttpServer() = default;

int HttpServer::port() const { return 0; }
const HttpNow& HttpServer::now() const { return state_->now; }
void HttpServer::run(const std::atomic<bool>&) {}

bool has_http_server() { return false; }

}  // namespace imgcap::serve
