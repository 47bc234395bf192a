#include "tensor/error.h"
#include "tensor/io/events.h"
#include "tensor/io/protobuf.h"
#include "tensor/io/text.h"
#include "tensor/io/tfrecord.h"

namespace tensor::io {
namespace {

constexpr std::string_view kVersion = "brain.Event:";

// summary.proto, Summary.Value: tag = 1, simple_value = 2.
void read_value(ProtobufReader message, ScalarEvent event, std::vector<ScalarEvent>& scalars) {
  bool is_scalar = false;
  while (const auto field = message.next()) {
    if (field->number == 1) event.tag = field->as_bytes().value_or("");
    if (field->number == 2 && field->as_float()) event.value = *field->as_float(), is_scalar = true;
  }
  if (is_scalar) scalars.push_back(std::move(event));
}

}  // namespace

bool looks_like_events(std::string_view bytes) {
  // The second is for a file whose first record is damaged: it is no text for that.
  return looks_like_tfrecord(bytes) || bytes.substr(0, 64).find(kVersion) != std::string_view::npos;
}

EventLog parse_events(std::string_view bytes, const std::string& name) {
  EventLog log;
  TfrecordReader records(bytes, name);
  bool first = true;
  for (int64_t at = 0; const auto record = records.next(); at = records.position()) {
    const std::string place = tensor::format("{}: the record at byte {}", name, at);
    // event.proto: wall_time = 1, step = 2, file_version = 3, summary = 5. The step may stand behind.
    ProtobufReader message(*record, place);
    ScalarEvent event;
    std::string_view version;
    std::vector<ProtobufField> summaries;
    while (const auto field = message.next()) {
      if (field->number == 1) event.wall_time = field->as_double().value_or(0);
      if (field->number == 2) event.step = field->as_int64().value_or(0);
      if (field->number == 3) version = field->as_bytes().value_or("");
      if (field->number == 5 && field->as_bytes()) summaries.push_back(*field);
    }
    if (std::exchange(first, false))
      check(version == "brain.Event:2", ErrorKind::data,
            "{}: an event file of version 2 says so in its first event, this one {}", name,
            version.empty() ? "says nothing" : "says " + in_quotes(version));
    check(event.step >= 0, ErrorKind::data, "{} is of step {}", place, event.step);
    for (const ProtobufField& summary : summaries) {
      ProtobufReader values = message.inside(summary);
      while (const auto value = values.next())
        if (value->number == 1 && value->as_bytes()) read_value(values.inside(*value), event, log.scalars);
    }
  }
  log.is_cut = records.is_cut();
  return log;
}

}  // namespace tensor::io
