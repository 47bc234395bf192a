#include "imgcap/testing/op_records.h"

namespace imgcap::testing {

const std::vector<autograd::testing::OpRecord>& op_database() {
  static const std::vector<autograd::testing::OpRecord> all = [] {
    std::vector<autograd::testing::OpRecord> records = autograd::testing::op_database();
    add_decoder_sequence(records);
    return records;
  }();
  return all;
}

}  // namespace imgcap::testing
