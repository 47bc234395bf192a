// A client of plain sockets, which may be as slow, hasty or wrong as it likes.
#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace tests {

struct Reply {
  int status = 0;                             // 0: the connection ended before its head did
  std::map<std::string, std::string> fields;  // names in small letters
  std::string body;
  bool whole = false;  // the body came to its end

  std::string field(const std::string& name) const { return fields.contains(name) ? fields.at(name) : ""; }
};

class Client {
 public:
  // `receive_bytes`: how much the system takes for it that it has not read yet; 0: as it likes.
  explicit Client(int port, int receive_bytes = 0)
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_bytes > 0) ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  ~Client() { leave(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool connected() const { return connected_; }
  void leave() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }
  // Whether all of it could be sent.
  bool send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      text.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  // Reads until `end` has come, and takes all up to it; what there is where the connection ends before.
  std::string read_to(const std::string& end) {
    while (true) {
      const size_t at = buffer_.find(end);
      if (at != std::string::npos) return take(at + end.size());
      if (!more()) return take(buffer_.size());
    }
  }
  std::string read(size_t bytes) {
    while (buffer_.size() < bytes && more()) {
    }
    return take(std::min(bytes, buffer_.size()));
  }
  std::string read_all() {
    while (more()) {
    }
    return take(buffer_.size());
  }
  // That the server has ended the connection and sent nothing before.
  bool at_end() { return buffer_.empty() && !more() && !timed_out_; }

  // `head_only`: the answer to a HEAD.
  Reply reply(bool head_only = false) {
    Reply reply;
    std::string head = read_to("\r\n\r\n");
    if (!head.ends_with("\r\n\r\n")) return reply;
    CHECK(head.starts_with("HTTP/1.1 "));
    reply.status = std::stoi(head.substr(9));
    for (size_t at = head.find("\r\n") + 2; at + 2 < head.size();) {
      const size_t colon = head.find(": ", at), end = head.find("\r\n", at);
      std::string name = head.substr(at, colon - at);
      for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      CHECK(reply.fields.emplace(name, head.substr(colon + 2, end - colon - 2)).second);
      at = end + 2;
    }
    const bool none = head_only || reply.status == 204 || reply.status == 304;
    reply.whole = true;
    if (none) return reply;
    if (reply.fields.contains("content-length")) {
      const size_t size = std::stoul(reply.fields.at("content-length"));
      reply.body = read(size);
      reply.whole = reply.body.size() == size;
    } else if (reply.field("transfer-encoding") == "chunked") {
      reply.whole = read_chunks(reply.body);
    } else {
      reply.body = read_all();
      reply.whole = !timed_out_;
    }
    return reply;
  }

 private:
  // Waits for bytes; false: there come no more.
  bool more() {
    pollfd wanted{socket_, POLLIN, 0};
    if (::poll(&wanted, 1, 60'000) != 1) return timed_out_ = true, false;
    char bytes[65536];
    const ssize_t got = ::recv(socket_, bytes, sizeof bytes, 0);
    if (got > 0) buffer_.append(bytes, static_cast<size_t>(got));
    return got > 0;
  }
  std::string take(size_t bytes) {
    std::string taken = buffer_.substr(0, bytes);
    buffer_.erase(0, bytes);
    return taken;
  }
  bool read_chunks(std::string& body) {
    while (true) {
      const std::string line = read_to("\r\n");
      if (!line.ends_with("\r\n")) return false;
      const size_t size = std::stoul(line, nullptr, 16);
      const std::string chunk = read(size + 2);
      if (chunk.size() != size + 2 || !chunk.ends_with("\r\n")) return false;
      if (size == 0) return true;
      body += chunk.substr(0, size);
    }
  }

  int socket_;
  bool connected_ = false, timed_out_ = false;
  std::string buffer_;
};

}  // namespace tests
