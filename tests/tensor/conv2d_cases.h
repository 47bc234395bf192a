// Convolutions of all kinds, small, for the tests of every device.
#pragma once

#include "tensor/kernel_options.h"
#include "tensor/shape.h"

namespace tests {

struct Conv2dCase {
  const char* name;
  tensor::Shape x, w;
  tensor::Conv2dOptions options;  // stride h, w; padding top, bottom, left, right; dilation h, w; groups
};

inline const Conv2dCase kConv2dCases[] = {
    {"3x3", {2, 3, 9, 8}, {5, 3, 3, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 1}},
    {"1x1", {2, 17, 5, 7}, {33, 17, 1, 1}, {}},
    {"1x1 stride 2", {1, 8, 7, 7}, {16, 8, 1, 1}, {2, 2, 0, 0, 0, 0, 1, 1, 1}},
    {"1x1 padded", {1, 4, 3, 3}, {4, 4, 1, 1}, {1, 1, 1, 0, 0, 1, 1, 1, 1}},
    {"7x7 stride 2", {1, 3, 29, 31}, {20, 3, 7, 7}, {2, 2, 3, 3, 3, 3, 1, 1, 1}},
    {"asymmetric", {2, 4, 8, 10}, {6, 4, 3, 5}, {2, 1, 0, 1, 1, 3, 1, 1, 1}},
    {"dilation", {1, 4, 11, 12}, {3, 4, 3, 3}, {1, 2, 2, 2, 3, 1, 2, 3, 1}},
    {"groups", {2, 6, 7, 6}, {8, 3, 3, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 2}},
    {"many images", {16, 4, 6, 6}, {5, 4, 3, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 1}},
    {"depthwise 3x3", {2, 20, 9, 7}, {20, 1, 3, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 20}},
    {"depthwise 5x5 stride 2", {2, 9, 12, 13}, {9, 1, 5, 5}, {2, 2, 1, 2, 1, 2, 1, 1, 9}},
    {"depthwise 3x3 stride 2", {1, 5, 9, 40}, {5, 1, 3, 3}, {2, 2, 0, 1, 0, 1, 1, 1, 5}},
    {"depthwise dilation", {1, 5, 12, 12}, {5, 1, 3, 2}, {1, 3, 2, 2, 2, 2, 2, 2, 5}},
    {"depthwise multiplier", {2, 3, 6, 6}, {6, 1, 3, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 3}},
    {"size 1", {1, 1, 1, 1}, {1, 1, 1, 1}, {}},
    {"padding beyond the window", {1, 2, 2, 2}, {3, 2, 2, 2}, {1, 1, 4, 3, 3, 4, 1, 1, 1}},
    {"wide and small", {1, 40, 7, 7}, {70, 40, 3, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 1}},
};

}  // namespace tests
