#include "imgcap/testing/op_records.h"

namespace imgcap::testing {

const std::vector<autograd::testing::OpRecord>& op_database() {
  static const std::vector<autograd::testing::OpRecord> all = [] {
    std::vector<autograd::testing::OpRecord> records = autograd::testing::op_database();
    for (autograd::testing::OpRecord& record : decoder_sequence_ops()) records.push_back(std::move(record));
    return records;
  }();
  return all;
}

}  // namespace imgcap::testing
