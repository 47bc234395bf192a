// JPEG by libjpeg-turbo; built without it, jpeg files go through stb_image.
#include "imgcap/data/image_codecs.h"
#include "tensor/error.h"

#ifdef IMGCAP_HAVE_JPEG
#include <csetjmp>
#include <cstdio>
// These need size_t and FILE declared before them.
#include <jpeglib.h>

#include <jerror.h>

namespace imgcap::codecs {
namespace {

// A progressive file may hold thousands of scans over a large picture, each of which costs a pass over it.
constexpr int kMaxScans = 500;
// And libjpeg keeps all coefficients of one, 2 bytes each: 3 to 8 bytes for each of its pixels. Its memory
// manager has no file to put more than this into, and gives up.
constexpr long kMaxCoefficients = 1L << 30;

// libjpeg is C and may not be left by an exception: errors jump out, and the text is thrown from C++.
struct Session {
  jpeg_decompress_struct info;
  jpeg_error_mgr errors;
  jpeg_progress_mgr progress;
  std::jmp_buf escape;
  char message[JMSG_LENGTH_MAX];
};

Session* session_of(j_common_ptr info) { return static_cast<Session*>(info->client_data); }

[[noreturn]] void on_error(j_common_ptr info) {
  Session* session = session_of(info);
  info->err->format_message(info, session->message);
  if (info->err->msg_code == JERR_NO_BACKING_STORE)
    std::snprintf(session->message, sizeof session->message,
                  "a progressive file of this size takes more than %ld MiB: save it as a baseline one",
                  kMaxCoefficients >> 20);
  std::longjmp(session->escape, 1);
}

void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  // Warnings that mean missing or garbled pixels; others (stray bytes between segments) are harmless and
  // common.
  switch (info->err->msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
      on_error(info);
    default:
      break;
  }
}

void on_output(j_common_ptr) {}

void on_progress(j_common_ptr info) {
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= kMaxScans) return;
  Session* session = session_of(info);
  std::snprintf(session->message, sizeof session->message, "more than %d scans", kMaxScans);
  std::longjmp(session->escape, 1);
}

// Writes rows of `channels` bytes per pixel to `out`. Nothing here has a destructor: longjmp would skip it.
bool decode_rows(Session& session, Bytes bytes, const Header& header, uint8_t* out, int channels) {
  if (setjmp(session.escape) != 0) return false;
  jpeg_decompress_struct& info = session.info;
  jpeg_mem_src(&info, bytes.data(), bytes.size());
  jpeg_read_header(&info, TRUE);
  info.out_color_space = channels == 4 ? JCS_CMYK : JCS_RGB;
  info.dct_method = JDCT_ISLOW;
  info.do_fancy_upsampling = TRUE;
  info.scale_num = 1;
  info.scale_denom = static_cast<unsigned>(header.reduction);
  info.mem->max_memory_to_use = kMaxCoefficients;
  jpeg_start_decompress(&info);
  if (static_cast<int64_t>(info.output_width) != header.width ||
      static_cast<int64_t>(info.output_height) != header.height || info.output_components != channels) {
    std::snprintf(session.message, sizeof session.message, "two frame headers that disagree");
    return false;
  }
  const size_t stride = static_cast<size_t>(info.output_width) * static_cast<size_t>(channels);
  while (info.output_scanline < info.output_height) {
    JSAMPROW row = out + info.output_scanline * stride;
    jpeg_read_scanlines(&info, &row, 1);
  }
  jpeg_finish_decompress(&info);
  return true;
}

}  // namespace

Image decode_jpeg(Bytes bytes, const Header& header, const std::string& name) {
  const int channels = header.components == 4 ? 4 : 3;
  tensor::check(header.components == 1 || header.components == 3 || header.components == 4,
                tensor::ErrorKind::data, "{}: a JPEG of {} colour components; 1, 3 and 4 can be read", name,
                header.components);
  Image image(header.height, header.width);
  std::vector<uint8_t> inks;
  if (channels == 4) inks.resize(static_cast<size_t>(header.height * header.width * 4));

  Session session{};
  session.info.err = jpeg_std_error(&session.errors);
  session.errors.error_exit = on_error;
  session.errors.emit_message = on_message;
  session.errors.output_message = on_output;
  if (setjmp(session.escape) != 0)
    tensor::fail(tensor::ErrorKind::internal, "{}: libjpeg: {}", name, session.message);
  session.info.client_data = &session;
  jpeg_create_decompress(&session.info);
  session.progress.progress_monitor = on_progress;
  session.info.progress = &session.progress;
  const bool good =
      decode_rows(session, bytes, header, channels == 4 ? inks.data() : image.pixels.data(), channels);
  jpeg_destroy_decompress(&session.info);
  if (!good) tensor::fail(tensor::ErrorKind::data, "{}: damaged JPEG: {}", name, session.message);

  uint8_t* to = image.pixels.data();
  for (size_t i = 0; i + 3 < inks.size(); i += 4, to += 3) {
    for (size_t c = 0; c < 4; ++c)
      inks[i + c] = static_cast<uint8_t>(255 - inks[i + c]);  // as they are stored
    inks_to_rgb(inks.data() + i, to);
  }
  return image;
}

}  // namespace imgcap::codecs

namespace imgcap {
bool jpeg_is_turbo() { return true; }
}  // namespace imgcap

#else

namespace imgcap::codecs {
Image decode_jpeg(Bytes bytes, const Header& header, const std::string& name) {
  return decode_stb(bytes, header, name);
}
}  // namespace imgcap::codecs

namespace imgcap {
bool jpeg_is_turbo() { return false; }
}  // namespace imgcap

#endif
