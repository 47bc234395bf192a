// POST /api/explain: why a model would say a sentence about a photo.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "imgcap/explain.h"
#include "imgcap/serve/service.h"
#include "imgcap/serve/workers.h"

namespace imgcap::serve {

class ExplainApi {
 public:
  // `options` has to be there until it ends.
  explicit ExplainApi(const ServiceOptions& options);

  // Returns at once; the answer comes from another thread.
  void handle(std::shared_ptr<Exchange> exchange);

 private:
  void explain(const std::shared_ptr<Exchange>& exchange) const;

  const ServiceOptions& options_;
  std::atomic<int64_t> waiting_{0};
  Workers workers_{1};  // one sentence at a time, beside the captions
};

}  // namespace imgcap::serve
