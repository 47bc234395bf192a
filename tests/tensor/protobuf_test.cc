#include "tensor/io/protobuf.h"

#include <doctest/doctest.h>

#include <limits>

#include "tensor/error.h"

using namespace tensor;
using io::ProtobufField;
using io::ProtobufReader;
using io::ProtobufType;
using io::ProtobufWriter;

namespace {

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) text += tensor::format("{:02x}", static_cast<unsigned char>(c));
  return text;
}

void check_refused(std::string_view bytes, const std::string& message) {
  CAPTURE(hex(bytes));
  try {
    ProtobufReader reader(bytes, "input");
    while (reader.next()) {
    }
    FAIL("it is taken");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::data);
    CHECK(std::string(error.what()) == message);
  }
}

}  // namespace

TEST_CASE("protobuf: bytes as Google's library writes them") {
  // From the official Python package, protobuf 7.36.2:
  //   from google.protobuf import descriptor_pb2 as d, descriptor_pool, message_factory
  //   f = d.FileDescriptorProto(name="t.proto", syntax="proto3"); m = f.message_type.add(name="M")
  //   for n, i, t in [("a", 1, 3), ("b", 2, 2), ("c", 3, 1), ("d", 4, 9), ("e", 5, 11), ("g", 536870911, 8)]:
  //     x = m.field.add(name=n, number=i, type=t, label=1)
  //     if n == "e": x.type_name = ".M"
  //   pool = descriptor_pool.DescriptorPool(); pool.Add(f)
  //   M = message_factory.GetMessageClass(pool.FindMessageTypeByName("M"))
  //   print(M(a=-2, b=1.5, c=-0.1, d="a\u00e9", e=M(a=300, d="x" * 130), g=True).SerializeToString().hex())
  ProtobufWriter inner, writer;
  inner.varint(1, 300);
  inner.bytes(4, std::string(130, 'x'));
  writer.varint(1, -2);
  writer.fixed32(2, 1.5f);
  writer.fixed64(3, -0.1);
  writer.bytes(4, "a\xc3\xa9");
  writer.message(5, inner);
  writer.varint(536870911, 1);
  std::string xs;
  for (int i = 0; i < 130; ++i) xs += "78";
  CHECK(hex(writer.data()) ==
        "08feffffffffffffffff01150000c03f199a9999999999b9bf220361c3a92a880108ac02228201" + xs +
            "f8ffffff0f01");

  ProtobufReader reader(writer.data(), "input");
  const auto first = reader.next();
  REQUIRE(first);
  CHECK(first->number == 1);
  CHECK(first->as_int64() == -2);
  CHECK_FALSE(first->as_float());
  CHECK_FALSE(first->as_double());
  CHECK_FALSE(first->as_bytes());
  CHECK(reader.next()->as_float() == 1.5f);
  CHECK(reader.next()->as_double() == -0.1);
  CHECK(reader.next()->as_bytes() == "a\xc3\xa9");
  const auto nested = reader.next();
  REQUIRE(nested);
  ProtobufReader inside = reader.inside(*nested);
  CHECK(inside.next()->as_int64() == 300);
  CHECK(inside.next()->bytes == std::string(130, 'x'));
  CHECK_FALSE(inside.next());
  const auto last = reader.next();
  CHECK(last->number == 536870911);
  CHECK(last->value == 1);
  CHECK_FALSE(last->as_bytes());
  CHECK_FALSE(reader.next());
}

TEST_CASE("protobuf: numbers at the ends of their ranges") {
  for (const int64_t value :
       {int64_t{0}, int64_t{127}, int64_t{128}, int64_t{16383}, int64_t{16384}, int64_t{-1},
        std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()}) {
    ProtobufWriter writer;
    writer.varint(7, value);
    CHECK(ProtobufReader(writer.data(), "input").next()->as_int64() == value);
  }
  CHECK_THROWS_AS(ProtobufWriter().varint(0, 1), Error);
  CHECK_THROWS_AS(ProtobufWriter().varint(1 << 29, 1), Error);
}

TEST_CASE("protobuf: a prefix stands for bytes that follow it") {
  ProtobufWriter whole, parts;
  whole.bytes(9, std::string(200, 'z'));
  parts.prefix(9, 200);
  CHECK(parts.data() + std::string(200, 'z') == whole.data());
}

TEST_CASE("protobuf: repeated numbers, packed or not") {
  // shape = {2, 300} of a schema with `repeated int64 shape = 1`: packed, and one by one.
  const std::string packed("\x0a\x03\x02\xac\x02", 5), alone("\x08\x02\x08\xac\x02", 5);
  ProtobufReader reader(packed, "input");
  CHECK(reader.integers(*reader.next()) == std::vector<int64_t>{2, 300});
  ProtobufReader single(alone, "input");
  CHECK(single.integers(*single.next()) == std::vector<int64_t>{2});
  CHECK(single.integers(*single.next()) == std::vector<int64_t>{300});
  ProtobufReader cut(std::string_view("\x0a\x02\x02\xac", 4), "input");
  const auto field = cut.next();
  CHECK_THROWS_WITH_AS(cut.integers(*field), "input: byte 4 of the message: it ends inside of a number",
                       Error);
}

TEST_CASE("protobuf: damaged messages are refused with the place") {
  using namespace std::string_view_literals;
  check_refused("\x08"sv, "input: byte 1 of the message: it ends inside of a number");
  check_refused("\x08\x80"sv, "input: byte 2 of the message: it ends inside of a number");
  check_refused("\x0d\x00\x00\x00"sv, "input: byte 1 of the message: it ends inside of a number");
  check_refused("\x09\x00\x00\x00\x00\x00\x00\x00"sv,
                "input: byte 1 of the message: it ends inside of a number");
  check_refused("\x0a\x03xx"sv, "input: byte 2 of the message: a field is longer than its message");
  check_refused("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"sv,
                "input: byte 11 of the message: a field is longer than its message");
  // Ten bytes hold 64 bits when the last one is 1; here it is 2, and here there are eleven.
  check_refused("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"sv,
                "input: byte 11 of the message: a number of more than 64 bits");
  check_refused("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00"sv,
                "input: byte 11 of the message: a number of more than 64 bits");
  check_refused("\x00\x00"sv, "input: byte 1 of the message: no field number");
  check_refused("\x80\x80\x80\x80\x10\x00"sv, "input: byte 5 of the message: no field number");
  for (const char wire : {'\x0b', '\x0c', '\x0e', '\x0f'})
    check_refused(std::string(1, wire), "input: byte 1 of the message: a field of no known type");
}

TEST_CASE("protobuf: messages inside each other, up to a depth") {
  std::string message;
  for (int i = 0; i <= ProtobufReader::kDeepest; ++i) {
    ProtobufWriter around;
    around.bytes(1, message);
    message = around.data();
  }
  ProtobufReader reader(message, "input");
  for (int depth = 0; depth < ProtobufReader::kDeepest; ++depth) reader = reader.inside(*reader.next());
  const auto field = reader.next();
  REQUIRE(field);
  CHECK_THROWS_WITH_AS(reader.inside(*field), doctest::Contains("too many messages inside each other"),
                       Error);
  ProtobufField number;
  CHECK_THROWS_WITH_AS(reader.inside(number), doctest::Contains("a number where a message is due"), Error);
}
