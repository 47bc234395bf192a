// What the service answers, as OpenAPI 3.1 describes it: made from the tables that the service itself goes by.
#pragma once

#include <string>
#include <vector>

#include "tensor/io/json.h"

namespace imgcap::serve {

struct OpenApiFacts {
  std::string version, root_path;
  bool token = false, run = false;  // what this server has
  std::vector<std::string> models{}, languages{};
};

tensor::io::Json openapi(const OpenApiFacts& facts);

}  // namespace imgcap::serve
