// HttpServer by Boost.Beast.
#include <boost/asio/ip/address.hpp>

#include "imgcap/serve/beast_session.h"
#include "tensor/error.h"

namespace imgcap::serve {

using net::ip::tcp;
using tensor::check;
using tensor::ErrorKind;

namespace {

constexpr auto kTick = std::chrono::milliseconds(50);

}  // namespace

struct HttpServer::State {
  std::shared_ptr<BeastServer> server = std::make_shared<BeastServer>();
  int port = 0;
};

void BeastServer::accept() {
  acceptor.async_accept([this](error_code error, tcp::socket socket) {
    if (stopping || error == net::error::operation_aborted) return;
    if (error) {  // no descriptor is left, most likely: there will be one
      retry.expires_after(kTick);
      return retry.async_wait([this](error_code) {
        if (!stopping) accept();
      });
    }
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    const auto session = *sessions.insert(std::make_shared<BeastSession>(*this, std::move(socket))).first;
    if (static_cast<int64_t>(sessions.size()) > limits.connections)
      session->turn_away();
    else
      session->start();
    accept();
  });
}

void BeastServer::watch(const std::atomic<bool>& stop) {
  timer.expires_after(kTick);
  timer.async_wait([this, &stop](error_code) {
    if (stop)
      begin_stop();
    else
      watch(stop);
  });
}

void BeastServer::begin_stop() {
  stopping = true;
  error_code ignored;
  acceptor.close(ignored);
  retry.cancel();
  for (const auto& session : std::set(sessions)) session->stop();
  if (sessions.empty()) return;
  timer.expires_after(std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>(limits.stop_seconds)));
  timer.async_wait([this](error_code error) {
    if (error) return;
    for (const auto& session : std::set(sessions)) session->close();
  });
}

void BeastServer::dropped(const std::shared_ptr<BeastSession>& session) {
  sessions.erase(session);
  if (stopping && sessions.empty()) timer.cancel();
}

HttpServer::HttpServer(const std::string& host, int port, const HttpLimits& limits, HttpHandlers handlers)
    : state_(std::make_unique<State>()) {
  BeastServer& server = *state_->server;
  server.limits = limits;
  server.handlers = std::move(handlers);
  error_code error;
  const auto address = net::ip::make_address(host == "localhost" ? "127.0.0.1" : host, error);
  check(!error, ErrorKind::argument, "--host {}: an address is needed, as 127.0.0.1, ::1 or 0.0.0.0", host);
  const tcp::endpoint endpoint(address, static_cast<uint16_t>(port));
  server.acceptor.open(endpoint.protocol(), error);
  if (!error) server.acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) server.acceptor.bind(endpoint, error);
  if (!error) server.acceptor.listen(net::socket_base::max_listen_connections, error);
  check(!error, ErrorKind::io, "{} port {}: {}", host, port, error.message());
  state_->port = server.acceptor.local_endpoint().port();
}

HttpServer::~HttpServer() = default;

int HttpServer::port() const { return state_->port; }
const HttpNow& HttpServer::now() const { return state_->server->now; }

void HttpServer::run(const std::atomic<bool>& stop) {
  state_->server->accept();
  state_->server->watch(stop);
  state_->server->context.run();
}

bool has_http_server() { return true; }

}  // namespace imgcap::serve
