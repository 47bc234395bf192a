// Runs the records of the op database through all checks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "autograd/testing/op_database.h"

namespace autograd::testing {

// What one op's checks gave.
struct OpReport {
  std::string name;
  int64_t samples = 0, checks = 0;
  // The worst |result - reference| / max(|reference|, the greatest of all) forward in each type, and the
  // worst difference of a derivative.
  double worst_f32 = 0, worst_f64 = 0, worst_f16 = 0, worst_bf16 = 0, worst_derivative = 0;
  double seconds = 0;
  // Of a device that has no code for a kernel of this op, that kernel's name. Nothing is checked then, or, where only a
  // backward pass asks for it, forward alone.
  std::string without_code;
  bool forward_alone = false;
  std::vector<std::string> failures;  // "matmul, (2, 3) x (3, 4), forward f32: ..."
  bool ok() const { return failures.empty(); }
};

// Every sample of the record:
//   forward      against the reference, in each type; other types are refused
//   layout       transposed, strided, offset and expanded inputs give what contiguous ones give, forward and
//                backward, one input at a time and all together; inputs stay as they are; guard bytes around
//                all memory stay whole
//   derivative   gradcheck, of each element or (large samples) along random directions; gradgradcheck, or,
//                for ops that are differentiable once, the refusal of second derivatives
//   gradient     each input that requires a gradient gets one, of its shape and type
//   composed     a fused op against the one of plain ops, forward and backward
//   repeat       a second run, and runs with 1, 2 and 4 threads, give the same bits
//   device       inputs on two devices are refused, with both in the sentence; where the program has a device
//                beside the CPU
//   error        what should be refused is, with the op and the shapes in the sentence
// On another device than the CPU all but the last and the derivatives, which prove autograd and not kernels; and
//   cpu          values and gradients are the CPU's, but for roundings, and on the device
// Errors: device (it is not there).
OpReport check_op(const OpRecord& record, const Device& device = {});

}  // namespace autograd::testing
