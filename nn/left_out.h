// Modules that are called inside another one without being anybody's children: their parameters are not among
// the outer module's, so that an optimiser which has those never trains them.
#pragma once

#include <string>
#include <vector>

#include "nn/module.h"

namespace nn {

struct LeftOut {
  std::string module;    // "Linear(in_features=8, out_features=3, bias=True)"
  std::string caller;    // "Net.head": the path of the module in whose forward function it is called
  Variables parameters;  // its own, those that train and that the outermost caller does not have
  Variables others;      // the outermost caller's
};

// All that live, as their last calls inside others were. One is left out when it has no parent, parameters
// of it require gradients and belong to no optimiser, a graph is being recorded, and the caller has
// parameters of its own. A module that is called outside of all others stands alone, and one that has a
// parent is not looked at.
std::vector<LeftOut> left_out_modules();

// "Linear(...) is called in Net, but it is no module's child: ..."
std::string describe(const LeftOut& left_out);

namespace internal {
void forget_left_out(const Module& module);  // it has a parent now, or is no more
}  // namespace internal

}  // namespace nn
