// Text as bytes, code points and lines.
#include "imgcap/data/utf8.h"

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

#include "imgcap/data/text_file.h"
#include "tensor/error.h"
#include "tests/data/byte_tensors.h"

using namespace imgcap;
using tests::error_of;

TEST_CASE("utf8: the first and last code points of each length, to bytes and back") {
  // By hand from Unicode's Table 3-6.
  const std::vector<std::pair<char32_t, std::string>> table = {{0x01, "\x01"},
                                                               {0x7F, "\x7f"},
                                                               {0x80, "\xc2\x80"},
                                                               {0x7FF, "\xdf\xbf"},
                                                               {0x800, "\xe0\xa0\x80"},
                                                               {0xD7FF, "\xed\x9f\xbf"},
                                                               {0xE000, "\xee\x80\x80"},
                                                               {0xFFFF, "\xef\xbf\xbf"},
                                                               {0x10000, "\xf0\x90\x80\x80"},
                                                               {0x10FFFF, "\xf4\x8f\xbf\xbf"}};
  for (const auto& [code, bytes] : table) {
    CAPTURE(static_cast<uint32_t>(code));
    CHECK(encode_utf8(std::u32string(1, code)) == bytes);
    CHECK(decode_utf8(bytes) == std::u32string(1, code));
    CHECK(find_invalid_utf8(bytes) == kNoPosition);
    std::string_view rest = bytes;
    CHECK(take_code_point(rest) == code);
    CHECK(rest.empty());
    // A byte less, or one that does not go on, is malformed.
    for (size_t i = 1; i < bytes.size(); ++i) {
      CHECK(find_invalid_utf8(bytes.substr(0, i)) == 0);
      for (const char other : {'a', '\xc0', '\x7f'}) {
        std::string broken = "x" + bytes;
        broken[1 + i] = other;
        CHECK(find_invalid_utf8(broken) == 1);
      }
    }
  }
}

TEST_CASE("utf8: just outside of each range is malformed, and one byte of it is taken") {
  for (const std::string bad :
       {"\x80", "\xbf", "\xc0\xaf", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf",
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xfe", "\xff"}) {
    CHECK(find_invalid_utf8("a" + bad) == 1);
    const std::string text = bad + "b";
    std::string_view rest = text;
    CHECK(take_code_point(rest) == 0xFFFD);
    CHECK(rest.size() == bad.size());
    CHECK(decode_utf8(text).back() == 'b');
  }
}

TEST_CASE("printable: control characters and malformed bytes as \\x.., the rest as it is") {
  CHECK(printable("a b~\u00e9\u65e5\U0001F600") == "a b~\u00e9\u65e5\U0001F600");
  CHECK(printable(std::string("\0\x1f\x20\x7f\n", 5)) == "\\x00\\x1f \\x7f\\x0a");
  CHECK(printable("\xc2\x80\xc2\x9f\xc2\xa0") == "\\xc2\\x80\\xc2\\x9f\xc2\xa0");
  CHECK(printable("\xff"
                  "a\xe2\x82") == "\\xffa\\xe2\\x82");
  CHECK(printable("\x1b[2J") == "\\x1b[2J");
}

TEST_CASE("lines end with LF or CRLF, the last one may lack its end, and are counted from 1") {
  const auto lines = [](std::string_view text) {
    LineReader reader(text);
    std::vector<std::string> all;
    CHECK(reader.line_number() == 0);
    while (const auto line = reader.next()) {
      all.emplace_back(*line);
      CHECK(reader.line_number() == all.size());
    }
    CHECK_FALSE(reader.next().has_value());
    CHECK(reader.line_number() == all.size());
    return all;
  };
  using Lines = std::vector<std::string>;
  CHECK(lines("") == Lines{});
  CHECK(lines("\n") == Lines{""});
  CHECK(lines("a") == Lines{"a"});
  CHECK(lines("a\n") == Lines{"a"});
  CHECK(lines("a\nb") == Lines{"a", "b"});
  CHECK(lines("a\n\n\nb\n") == Lines{"a", "", "", "b"});
  CHECK(lines("a\r\nb\rc\r\n\r\nd\r") == Lines{"a", "b\rc", "", "d"});
  CHECK(lines("a\r\r\n") == Lines{"a\r"});
  CHECK(lines("\xEF\xBB\xBF"
              "a\n\xEF\xBB\xBF"
              "b") == Lines{"a",
                            "\xEF\xBB\xBF"
                            "b"});
  CHECK(without_byte_order_mark("\xEF\xBB") == "\xEF\xBB");
  CHECK(without_byte_order_mark("\xEF\xBB\xBF\xEF\xBB\xBF") == "\xEF\xBB\xBF");
}

TEST_CASE("the first fault of a text is named with its line") {
  const auto fault = [](const std::string& text) { return error_of([&] { check_text(text, "f"); }); };
  const std::string is_text = "; is this a text file in UTF-8?";
  CHECK(fault("") == "");
  CHECK(fault("a\n\u00e9\n") == "");
  CHECK(fault("\xff") == "f:1: bytes that are no valid UTF-8" + is_text);
  CHECK(fault("a\nb\xff") == "f:2: bytes that are no valid UTF-8" + is_text);
  CHECK(fault(std::string("a\n\n\0", 4)) == "f:3: a NUL byte" + is_text);
  CHECK(fault(std::string("a\0\n\xff", 4)) == "f:1: a NUL byte" + is_text);
  CHECK(fault(std::string("\xff\n\0", 3)) == "f:1: bytes that are no valid UTF-8" + is_text);
}
