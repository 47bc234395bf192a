// The records of ImgCap's own ops, for the suite that autograd's go through (autograd/testing/op_suite.h).
#pragma once

#include <vector>

#include "autograd/testing/op_database.h"

namespace imgcap::testing {

// A family each; in FAMILY.cc.
std::vector<autograd::testing::OpRecord> decoder_sequence_ops();

// Autograd's records, then ImgCap's. Made at the first call.
const std::vector<autograd::testing::OpRecord>& op_database();

}  // namespace imgcap::testing
