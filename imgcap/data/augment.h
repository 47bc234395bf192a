// Changed training photos, as torchvision makes them of PIL images: the original's way, and a milder one.
#pragma once

#include <array>
#include <cstdint>

#include "imgcap/data/image.h"

namespace imgcap {

// Single steps; each equals Pillow's result to the bit.

// Rows [top, top + height), columns [left, left + width); what lies outside of the picture is black.
Image crop(const Image& image, int64_t top, int64_t left, int64_t height, int64_t width);
Image flip_horizontal(const Image& image);
// Counter-clockwise by `degrees` about the centre, same size, nearest pixel, black where nothing is.
// Pillow changes from fixed-point to floating-point steps on sides of 32,768 and more; this does not.
Image rotate(const Image& image, double degrees);
// 0 gives black, 1 the picture, 2 doubles the values. Errors of the four: argument (negative or not finite).
Image adjust_brightness(const Image& image, double factor);
// 0 gives the mean of the grey picture everywhere.
Image adjust_contrast(const Image& image, double factor);
// 0 gives the grey picture.
Image adjust_saturation(const Image& image, double factor);
// Turns the hue by `factor` (-0.5..0.5) of the circle, in 8-bit HSV.
Image adjust_hue(const Image& image, double factor);

// RandomApply([HFlip(flip), Rotation(degrees), RandomCrop(crop), ColorJitter(...)], probability), or with a
// random part of the picture in place of RandomCrop. The defaults are the original's.
struct AugmentOptions {
  double probability = 0.8;  // of doing anything at all
  double flip = 0.5;
  double degrees = 15;  // angle in [-degrees, degrees)
  int64_t crop = 110;   // side of the square crop, taken from the full-size picture; 0: none
  // The part's share of the area is in [least_area, 1), its shape the picture's times 3/4 to 4/3 (Szegedy et
  // al. 2015; torchvision's RandomResizedCrop, whose shapes do not depend on the picture's); 1: no such part.
  double least_area = 1;
  double brightness = 0.2, contrast = 0.2, saturation = 0.2;  // factor in [1 - x, 1 + x)
  double hue = 0.1;                                           // shift in [-hue, hue)
};

// What the dice said; apart from `augment`, so that it can be shown, stored and tested.
struct AugmentPlan {
  bool apply = false, flip = false;
  double degrees = 0;
  double top = 0, left = 0;  // [0, 1): place of the crop among the possible ones
  double brightness = 1, contrast = 1, saturation = 1, hue = 0;
  double area = 1, shape = 1;            // of the part: share of the picture's area, factor of width / height
  std::array<int, 4> order{0, 1, 2, 3};  // of brightness, contrast, saturation, hue

  bool operator==(const AugmentPlan&) const = default;
};

// Keeps what captions speak of: 60 to 100 % of the picture, mirrored half of the time, colours a little
// changed.
AugmentOptions mild_augmentation();

// The same for the same seed, epoch and index, on every machine and for any number of threads (Philox, keyed
// by all three). 0 <= epoch < 2^23, 0 <= index < 2^40. Errors: argument.
AugmentPlan plan_augmentation(const AugmentOptions& options, uint64_t seed, int64_t epoch, int64_t index);

// A picture smaller than the crop is first padded with black on both sides by what it lacks (torchvision's
// pad_if_needed; without it torchvision refuses), so that a small photo does not end a training run.
Image augment(const Image& image, const AugmentOptions& options, const AugmentPlan& plan);

}  // namespace imgcap
