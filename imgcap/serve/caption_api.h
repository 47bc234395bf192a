// POST /api/caption: photos in, captions out, as one JSON or as events while they are made.
#pragma once

#include <atomic>
#include <memory>

#include "imgcap/serve/caption_queue.h"
#include "imgcap/serve/caption_wish.h"
#include "imgcap/serve/counters.h"
#include "imgcap/serve/service.h"
#include "imgcap/serve/workers.h"

namespace imgcap::serve {

class CaptionApi {
 public:
  // Both have to be there until it ends.
  CaptionApi(const ServiceOptions& options, Counters& counters);

  // Returns at once; the answer comes from another thread.
  void handle(std::shared_ptr<Exchange> exchange);

  const QueueNumbers& queue() const { return queue_.numbers(); }
  int64_t photos() const { return photos_; }  // that wait or are worked on

 private:
  class Answer;
  struct Search {
    const ServedModel* model = nullptr;
    CaptionRequest request;
    std::vector<std::string> notes;
  };

  void read(const std::shared_ptr<Exchange>& exchange);
  std::vector<Search> searches_of(const CaptionWish& wish) const;
  int64_t ask_for(const std::shared_ptr<Answer>& answer, size_t index, const std::vector<Search>& searches);
  void add_jobs(const std::shared_ptr<Answer>& answer, size_t index, const Search& search,
                const std::shared_ptr<const Image>& photo, std::vector<CaptionJob>& jobs) const;

  const ServiceOptions& options_;
  Counters& counters_;
  std::atomic<int64_t> photos_{0}, unread_{0};  // requests that no reader has looked at
  // The readers end first: they add to the queue.
  CaptionQueue queue_;
  Workers readers_;
};

}  // namespace imgcap::serve
