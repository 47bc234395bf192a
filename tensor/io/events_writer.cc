#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <system_error>

#include "tensor/error.h"
#include "tensor/io/events.h"
#include "tensor/io/protobuf.h"
#include "tensor/io/tfrecord.h"

namespace tensor::io {
namespace {

constexpr int64_t kSessionStart = 1;  // SessionLog.START of event.proto

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// TensorBoard's own writers have it in the name, too: several machines may write to one folder.
std::string host() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0) return "host";
  for (char& c : name)
    if (c == '/') c = '-';
  return name;
}

[[noreturn]] void fail_io(const std::string& file, const char* what, int error) {
  fail(ErrorKind::io, "{}: {}: {}", file, what, std::generic_category().message(error));
}

}  // namespace

EventWriter::EventWriter(const std::filesystem::path& folder, std::optional<int64_t> first_step) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  check(!error, ErrorKind::io, "{}: cannot be made: {}", folder.string(), error.message());
  static std::atomic<int> count{0};
  do {
    file_ = (folder / tensor::format("events.out.tfevents.{}.{}.{}.{}", static_cast<int64_t>(now()), host(),
                                     ::getpid(), count++))
                .string();
    fd_ = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
  } while (fd_ < 0 && (errno == EEXIST || errno == EINTR));
  if (fd_ < 0) fail_io(file_, "cannot be written", errno);
  ProtobufWriter event;
  event.fixed64(1, now());
  event.bytes(3, "brain.Event:2");
  try {
    write(event.data());
    if (first_step) {
      ProtobufWriter session, start;
      session.varint(1, kSessionStart);
      start.fixed64(1, now());
      start.varint(2, *first_step);
      start.message(7, session);
      write(start.data());
    }
  } catch (...) {
    ::close(fd_);
    ::unlink(file_.c_str());
    throw;
  }
}

EventWriter::~EventWriter() { ::close(fd_); }

void EventWriter::add(int64_t step, const Scalars& scalars) {
  ProtobufWriter summary, event;
  for (const auto& [tag, value] : scalars) {
    ProtobufWriter entry;
    entry.bytes(1, tag);
    entry.fixed32(2, value);
    summary.message(1, entry);
  }
  event.fixed64(1, now());
  event.varint(2, step);
  event.message(5, summary);
  write(event.data());
}

void EventWriter::write(std::string_view event) {
  const std::string record = tfrecord(event);
  std::string_view left = record;
  while (!left.empty()) {
    const ssize_t n = ::write(fd_, left.data(), left.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail_io(file_, "cannot be written", n < 0 ? errno : ENOSPC);
    left.remove_prefix(static_cast<size_t>(n));
  }
}

}  // namespace tensor::io
