#include "imgcap/cli/drawn_word.h"

#ifdef IMGCAP_HAVE_PANGO

#include <pango/pangocairo.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "imgcap/data/utf8.h"

namespace imgcap::cli {
namespace {

struct Release {
  void operator()(PangoLayout* layout) const { g_object_unref(layout); }
  void operator()(PangoContext* context) const { g_object_unref(context); }
  void operator()(PangoFontMap* fonts) const { g_object_unref(fonts); }
  void operator()(PangoFontDescription* font) const { pango_font_description_free(font); }
  void operator()(cairo_surface_t* surface) const { cairo_surface_destroy(surface); }
  void operator()(cairo_t* cairo) const { cairo_destroy(cairo); }
};
template <class T>
using Owner = std::unique_ptr<T, Release>;

constexpr double kFontShare = 0.8;  // of the box's height, which has to hold what is below the line, too

}  // namespace

std::optional<Ink> draw_word(const std::string& word, int64_t height, int64_t width) {
  const std::string text = encode_utf8(decode_utf8(word));  // Pango warns of malformed UTF-8
  const Owner<PangoFontMap> fonts(pango_cairo_font_map_new());
  const Owner<PangoContext> context(pango_font_map_create_context(fonts.get()));
  const Owner<PangoLayout> layout(pango_layout_new(context.get()));
  const Owner<PangoFontDescription> font(pango_font_description_from_string("Sans"));
  pango_layout_set_single_paragraph_mode(layout.get(), TRUE);
  pango_layout_set_text(layout.get(), text.data(), static_cast<int>(text.size()));
  const auto set_size = [&](double pixels) {
    pango_font_description_set_absolute_size(font.get(), pixels * PANGO_SCALE);
    pango_layout_set_font_description(layout.get(), font.get());
  };
  int wide = 0, high = 0;
  const double size = kFontShare * static_cast<double>(height);
  set_size(size);
  pango_layout_get_pixel_size(layout.get(), &wide, &high);
  if (high > height) {  // scripts that stack their letters
    set_size(size * static_cast<double>(height) / high);
    pango_layout_get_pixel_size(layout.get(), &wide, &high);
  }
  if (pango_layout_get_unknown_glyphs_count(layout.get()) > 0) return std::nullopt;
  if (wide > width) {
    pango_layout_set_width(layout.get(), static_cast<int>(width) * PANGO_SCALE);
    pango_layout_set_ellipsize(layout.get(), PANGO_ELLIPSIZE_END);
    wide = static_cast<int>(width);
  }
  if (wide <= 0 || high <= 0) return std::nullopt;
  const Owner<cairo_surface_t> surface(
      cairo_image_surface_create(CAIRO_FORMAT_A8, wide, static_cast<int>(height)));
  const Owner<cairo_t> cairo(cairo_create(surface.get()));
  cairo_move_to(cairo.get(), 0, std::max(0, (static_cast<int>(height) - high) / 2));
  pango_cairo_show_layout(cairo.get(), layout.get());
  if (cairo_status(cairo.get()) != CAIRO_STATUS_SUCCESS) return std::nullopt;
  cairo_surface_flush(surface.get());
  Ink ink{height, wide, std::vector<uint8_t>(static_cast<size_t>(height * wide))};
  const unsigned char* pixels = cairo_image_surface_get_data(surface.get());
  const int stride = cairo_image_surface_get_stride(surface.get());
  for (int64_t y = 0; y < height; ++y)
    std::memcpy(&ink.cover[static_cast<size_t>(y * wide)], pixels + y * stride, static_cast<size_t>(wide));
  return ink;
}

}  // namespace imgcap::cli

#else

namespace imgcap::cli {

std::optional<Ink> draw_word(const std::string&, int64_t, int64_t) { return std::nullopt; }

}  // namespace imgcap::cli

#endif
