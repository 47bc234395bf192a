// Whether text is written from the right.
#pragma once

#include <string>
#include <vector>

namespace imgcap {

// By the first letter of these texts that has a direction (rule P2 of Unicode's bidirectional algorithm); false without
// one.
bool reads_right_to_left(const std::vector<std::string>& texts);

}  // namespace imgcap
