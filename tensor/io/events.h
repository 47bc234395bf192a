// TensorBoard's event files: numbers by name and step ("scalars"), as training programs log them. A file is
// TFRecords, each a protobuf message `Event`; the schemas are TensorFlow's event.proto and summary.proto.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tensor::io {

using Scalars = std::vector<std::pair<std::string, float>>;  // tag, value

// Writes an event file while a run goes on; each call is on disk's way as a whole when it returns, so that
// TensorBoard can follow. Every error is an io error with the file and the reason.
class EventWriter {
 public:
  // Makes FOLDER/events.out.tfevents.SECONDS.HOST.PROCESS.COUNT, a new file each time, and the folder. With
  // `first_step`, TensorBoard drops what the folder's older files have from that step on: for a run that goes
  // on from a checkpoint and makes steps again. (PyTorch's SummaryWriter calls it purge_step.)
  explicit EventWriter(const std::filesystem::path& folder, std::optional<int64_t> first_step = {});
  ~EventWriter();
  EventWriter(const EventWriter&) = delete;
  EventWriter& operator=(const EventWriter&) = delete;

  void add(int64_t step, const Scalars& scalars);
  const std::string& file() const { return file_; }

 private:
  void write(std::string_view event);

  std::string file_;
  int fd_ = -1;
};

struct ScalarEvent {
  std::string tag;
  int64_t step = 0;
  double wall_time = 0;  // seconds since 1970
  float value = 0;
};

struct EventLog {
  std::vector<ScalarEvent> scalars;  // in the file's order
  bool is_cut = false;               // it ends inside of an event, which is left out
};

// Whether the bytes are of an event file.
bool looks_like_events(std::string_view bytes);

// The scalars of an event file; pictures, histograms and all else are passed over. A data error for a damaged
// record, a message that is none, a negative step or a first event that is not of version 2.
EventLog parse_events(std::string_view bytes, const std::string& name);

}  // namespace tensor::io
