// Answers that take a moment and wait for no batch: explanations, reports, scores. One at a time, beside the captions.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "imgcap/serve/http.h"
#include "imgcap/serve/workers.h"

namespace imgcap::serve {

// Thrown by an answer: what was sent is well-formed, and still nothing can be done with it (422).
struct Unprocessable {
  std::string text;
};

class SideWork {
 public:
  // So many may wait; more get 429.
  explicit SideWork(int64_t most) : most_(most) {}

  // Returns at once. What `answer` throws becomes the answer: of tensor::Error error_answer(), 422 of Unprocessable.
  void add(std::shared_ptr<Exchange> exchange, std::function<HttpResponse(const Exchange&)> answer);

 private:
  const int64_t most_;
  std::atomic<int64_t> waiting_{0};
  Workers workers_{1};
};

}  // namespace imgcap::serve
