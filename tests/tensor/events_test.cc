#include "tensor/io/events.h"

#include <doctest/doctest.h>

#include <cmath>
#include <ctime>
#include <fstream>
#include <limits>
#include <set>

#include "tensor/error.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/protobuf.h"
#include "tensor/io/tfrecord.h"
#include "tests/data_dir.h"
#include "tests/folder.h"

using namespace tensor;
using io::EventLog;
using io::EventWriter;
using io::parse_events;
using io::ProtobufWriter;
using io::ScalarEvent;

namespace {

void check_refused(std::string_view bytes, const std::string& message) {
  try {
    parse_events(bytes, "input");
    FAIL("it is taken");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::data);
    CHECK(std::string(error.what()) == message);
  }
}

std::string version_record(const std::string& version = "brain.Event:2") {
  ProtobufWriter event;
  event.fixed64(1, 12.5);
  event.bytes(3, version);
  return io::tfrecord(event.data());
}

ProtobufWriter scalar(const std::string& tag, float value) {
  ProtobufWriter entry, summary;
  entry.bytes(1, tag);
  entry.fixed32(2, value);
  summary.message(1, entry);
  return summary;
}

std::string scalar_record(int64_t step, const std::string& tag, float value) {
  ProtobufWriter event;
  event.varint(2, step);
  event.message(5, scalar(tag, value));
  return io::tfrecord(event.data());
}

}  // namespace

TEST_CASE("crc32c: the vectors of RFC 3720, B.4") {
  std::string rising, falling;
  for (int i = 0; i < 32; ++i) rising += static_cast<char>(i), falling += static_cast<char>(31 - i);
  CHECK(io::crc32c(std::string(32, '\0')) == 0x8a9136aau);
  CHECK(io::crc32c(std::string(32, '\xff')) == 0x62a8ab43u);
  CHECK(io::crc32c(rising) == 0x46dd794eu);
  CHECK(io::crc32c(falling) == 0x113fdb5cu);
  CHECK(io::crc32c("123456789") == 0xe3069283u);  // the check value of the catalogue of CRCs
  CHECK(io::crc32c("") == 0);
}

TEST_CASE("tfrecord: a record as TensorBoard's own writer frames it") {
  // python: from tensorboard.summary.writer.record_writer import RecordWriter; import io; f = io.BytesIO()
  //         RecordWriter(f).write(b"hello"); print(f.getvalue().hex())          (tensorboard 2.21.0)
  const std::string record = io::tfrecord("hello");
  std::string hex;
  for (const char c : record) hex += tensor::format("{:02x}", static_cast<unsigned char>(c));
  CHECK(hex == "0500000000000000eab2043e68656c6c6fbb1f1c19");
  const std::string two = record + io::tfrecord("");
  io::TfrecordReader reader(two, "input");
  CHECK(reader.next() == "hello");
  CHECK(reader.position() == static_cast<int64_t>(record.size()));
  CHECK(reader.next() == "");
  CHECK_FALSE(reader.next());
  CHECK_FALSE(reader.is_cut());
}

TEST_CASE("events: what is written is read") {
  const tests::TemporaryFolder folder("events");
  const double before = static_cast<double>(std::time(nullptr));
  std::string file;
  const auto read = [&] { return parse_events(io::read_file(file), file); };
  {
    EventWriter writer(folder.path / "a/b");
    file = writer.file();
    // At each moment the file is whole: TensorBoard reads along.
    CHECK(read().scalars.empty());
    writer.add(1, {{"Train/Loss", 2.5f}, {"Train/Gradient Norm", std::numeric_limits<float>::infinity()}});
    CHECK(read().scalars.size() == 2);
    writer.add(int64_t{1} << 40, {{"Validation/CIDEr", 0.25f}});
  }
  const EventLog log = read();
  CHECK_FALSE(log.is_cut);
  REQUIRE(log.scalars.size() == 3);
  CHECK(log.scalars[0].tag == "Train/Loss");
  CHECK(log.scalars[0].step == 1);
  CHECK(log.scalars[0].value == 2.5f);
  CHECK(log.scalars[0].wall_time >= before);
  CHECK(log.scalars[0].wall_time < before + 600);
  CHECK(log.scalars[1].tag == "Train/Gradient Norm");
  CHECK(std::isinf(log.scalars[1].value));
  CHECK(log.scalars[2].step == int64_t{1} << 40);
  CHECK(std::filesystem::path(file).filename().string().starts_with("events.out.tfevents."));
  // TensorBoard takes the files of a folder in the order of their names.
  std::set<std::string> names = {file};
  for (int i = 0; i < 3; ++i) {
    const std::string next = EventWriter(folder.path / "a/b").file();
    CHECK(next > *names.rbegin());
    names.insert(next);
  }
  CHECK(names.size() == 4);
  CHECK_THROWS_WITH_AS(EventWriter("/proc/imgcap/events"), doctest::Contains("/proc/imgcap"), Error);
}

TEST_CASE("events: a run that goes on says from which step on older files do not count") {
  // python: from tensorboard.compat.proto.event_pb2 import Event, SessionLog            (tensorboard 2.21.0)
  //         Event(wall_time=1, step=13,
  //         session_log=SessionLog(status=SessionLog.START)).SerializeToString().hex()
  const std::string expected = "09000000000000f03f100d3a020801";
  const tests::TemporaryFolder folder("events_on");
  EventWriter writer(folder.path, 13);
  writer.add(13, {{"a", 1}});
  const std::string bytes = io::read_file(writer.file());
  io::TfrecordReader reader(bytes, "input");
  CHECK(reader.next()->ends_with("brain.Event:2"));
  std::string hex;
  const std::string_view record = *reader.next();
  for (const char c : record) hex += tensor::format("{:02x}", static_cast<unsigned char>(c));
  CHECK(hex.substr(0, 2) == expected.substr(0, 2));
  CHECK(hex.substr(18) == expected.substr(18));  // behind the time
  const EventLog log = parse_events(bytes, "input");
  REQUIRE(log.scalars.size() == 1);
  CHECK(log.scalars[0].step == 13);
}

TEST_CASE("events: a file that is still being written ends inside of an event") {
  const std::string head = version_record() + scalar_record(1, "a", 1);
  const std::string all = head + scalar_record(2, "b", 2);
  for (size_t size = 0; size <= all.size(); ++size) {
    CAPTURE(size);
    const EventLog log = parse_events(std::string_view(all).substr(0, size), "input");
    const size_t first = version_record().size();
    CHECK(log.is_cut == (size != 0 && size != first && size != head.size() && size != all.size()));
    CHECK(log.scalars.size() == (size == all.size() ? 2 : size >= head.size() ? 1 : 0));
  }
}

TEST_CASE("events: one wrong bit anywhere is noticed") {
  const std::string first = version_record(), good = first + scalar_record(1, "tag", 1);
  for (size_t bit = 8 * first.size(); bit < 8 * good.size(); ++bit) {
    CAPTURE(bit);
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(static_cast<unsigned char>(bad[bit / 8]) ^ (1u << (bit % 8)));
    const bool in_head = bit / 8 < first.size() + 12;
    check_refused(bad, tensor::format("input: the record at byte {} {}", first.size(),
                                      in_head ? "has a damaged length (its CRC-32C differs)"
                                              : "is damaged (its CRC-32C differs)"));
  }
}

TEST_CASE("events: what is no scalar is passed over, and fields may stand in any order") {
  ProtobufWriter event, summary, histogram, late, metadata;
  histogram.bytes(1, "histogram");
  histogram.bytes(5, "x");
  summary.message(1, histogram);
  late.fixed32(2, 4);  // its value before its tag
  late.message(9, metadata);
  late.bytes(1, "late");
  summary.message(1, late);
  summary.varint(7, 1);
  event.message(5, summary);
  event.bytes(6, "log message");
  event.varint(2, 9);
  const EventLog log = parse_events(version_record() + io::tfrecord(event.data()), "input");
  REQUIRE(log.scalars.size() == 1);
  CHECK(log.scalars[0].tag == "late");
  CHECK(log.scalars[0].step == 9);
  CHECK(log.scalars[0].value == 4);
}

TEST_CASE("events: what no writer of the format writes is refused") {
  const size_t size = version_record().size();
  check_refused(
      version_record("brain.Event:1"),
      "input: an event file of version 2 says so in its first event, this one says 'brain.Event:1'");
  check_refused(scalar_record(1, "a", 1),
                "input: an event file of version 2 says so in its first event, this one says nothing");
  check_refused(version_record() + scalar_record(-1, "a", 1),
                tensor::format("input: the record at byte {} is of step -1", size));
  check_refused(version_record() + io::tfrecord("\x0a\x05"),
                tensor::format("input: the record at byte {}: byte 2 of the message: a field is longer than "
                               "its message",
                               size));
  ProtobufWriter event;
  event.bytes(5, "\x0a\x01\xff");
  check_refused(version_record() + io::tfrecord(event.data()),
                tensor::format("input: the record at byte {}: byte 5 of the message: it ends inside of a "
                               "number",
                               size));
}

TEST_CASE("events: which bytes are of an event file") {
  CHECK(io::looks_like_events(version_record()));
  std::string damaged = version_record();
  damaged[8] = 'x';
  CHECK(io::looks_like_events(damaged));
  CHECK_FALSE(io::looks_like_events(""));
  CHECK_FALSE(io::looks_like_events("{\"step\":1,\"loss\":2}"));
  CHECK_FALSE(io::looks_like_events(version_record().substr(0, 11)));
}

TEST_CASE("events: the original's files") {
  const std::filesystem::path dir = tests::data_dir();
  if (dir.empty()) SKIP(tests::kNoData);
  // As tensorboard 2.21.0 reads them:
  //   for e in EventFileLoader(file).Load(): for v in e.summary.value: print(v.tag, e.step,
  //   v.tensor.float_val)
  const std::string file =
      (dir / "original/events/events.out.tfevents.1725762539.ip-10-192-12-102.39841.0").string();
  const EventLog log = parse_events(io::read_file(file), file);
  CHECK_FALSE(log.is_cut);
  std::vector<ScalarEvent> losses, norms;
  for (const ScalarEvent& s : log.scalars) (s.tag == "Train/Loss" ? losses : norms).push_back(s);
  REQUIRE(losses.size() == 81);
  REQUIRE(norms.size() == 81);
  CHECK(norms[0].tag == "Train/Gradient Norm");
  CHECK(losses[0].step == 10062);
  CHECK(losses[0].value == 2.4847915172576904f);
  CHECK(losses[80].step == 10142);
  CHECK(losses[80].value == 2.771582841873169f);
  CHECK(norms[80].value == 0.40559569001197815f);
}
