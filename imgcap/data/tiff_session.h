// A file in memory as libtiff sees it: for tiff.cc alone.
#pragma once

#include <tiffio.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

#include "imgcap/data/image_codecs.h"
#include "imgcap/data/utf8.h"

namespace imgcap::codecs {

// libtiff reads through it, and it keeps the first thing that libtiff complained about.
struct TiffSession {
  Bytes bytes;
  uint64_t at = 0;
  std::string message;

  static TiffSession& of(void* self) { return *static_cast<TiffSession*>(self); }
  static tmsize_t read(thandle_t self, void* out, tmsize_t size) {
    TiffSession& s = of(self);
    const uint64_t left = s.at < s.bytes.size() ? s.bytes.size() - s.at : 0;
    const auto count =
        static_cast<size_t>(std::min<uint64_t>(left, size > 0 ? static_cast<uint64_t>(size) : 0));
    if (count > 0) std::memcpy(out, s.bytes.data() + s.at, count);
    s.at += count;
    return static_cast<tmsize_t>(count);
  }
  static tmsize_t write(thandle_t, void*, tmsize_t) { return 0; }
  static toff_t seek(thandle_t self, toff_t offset, int from) {
    TiffSession& s = of(self);
    s.at = offset + (from == SEEK_CUR ? s.at : from == SEEK_END ? s.bytes.size() : 0);
    return s.at;
  }
  static int close(thandle_t) { return 0; }
  static toff_t size(thandle_t self) { return of(self).bytes.size(); }
  static int map(thandle_t self, void** base, toff_t* size) {  // nothing is copied
    TiffSession& s = of(self);
    *base = const_cast<uint8_t*>(s.bytes.data());
    *size = s.bytes.size();
    return 1;
  }
  static void unmap(thandle_t, void*, toff_t) {}

  void note(const char* format, va_list arguments) {
    if (!message.empty()) return;
    char text[256];
    std::vsnprintf(text, sizeof text, format, arguments);
    message = printable(text);
  }
  static int on_error(TIFF*, void* self, const char*, const char* format, va_list arguments) {
    of(self).note(format, arguments);
    return 1;
  }
  // Only what means missing or garbled pixels counts: libjpeg warns of it inside of a TIFF, too.
  static int on_warning(TIFF*, void* self, const char* module, const char* format, va_list arguments) {
    if (module == nullptr || std::string_view(module) != "JPEGLib") return 1;
    TiffSession warning;
    warning.note(format, arguments);
    if (warning.message.find("extraneous") == std::string::npos && of(self).message.empty())
      of(self).message = warning.message;
    return 1;
  }
};

}  // namespace imgcap::codecs
