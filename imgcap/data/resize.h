// PIL's antialiased resize, to the bit.
#pragma once

#include <cstdint>

#include "imgcap/data/image.h"

namespace imgcap {

// Scales the whole picture to height x width (the aspect ratio is not kept), as `Image.resize((width,
// height), BILINEAR)` of Pillow 13 does: a triangle filter whose support grows with the reduction, weights of
// 22 bits, rounded to bytes between the passes. Columns come first unless rows shrink by more than twice as
// many pixels as columns; Pillow up to 12 always took columns first, so that for such shapes (a portrait of
// 256 x 384 to 224 x 224) its values differ by 1 here and there. The same size returns a copy. Errors:
// argument (sizes below 1).
Image resize(const Image& image, int64_t height, int64_t width);

// Reduced to `side` pixels on its longer side, the other in proportion; as it is where it has no more. Errors: argument
// (a side below 1).
Image at_most(const Image& image, int64_t side);

}  // namespace imgcap
