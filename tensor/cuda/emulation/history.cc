#include "tensor/cuda/emulation/history.h"

#include <algorithm>
#include <limits>

namespace tensor::cuda::emulation {
namespace {

struct Work {
  uint32_t first;  // of its stretches
  size_t stream;
  uint64_t count;
  std::string what;
};

struct History {
  std::vector<Work> works;
  uint32_t known_before = 0;            // all before this stretch comes before everything
  Moment now;                           // what the work that runs knows
  uint32_t last_from = 1, last_to = 0;  // the answer to the last question: these stretches,
  bool last_answer = false;             // and whether they come before
};
History& history() {
  static auto* const it = new History;
  return *it;
}

// The last work that begins at or before a stretch.
std::vector<Work>::const_iterator find(uint32_t stretch) {
  const auto& works = history().works;
  const auto after = std::ranges::upper_bound(works, stretch, {}, &Work::first);
  return after == works.begin() ? works.end() : std::prev(after);
}

}  // namespace

void join(Moment& moment, const Moment& other) {
  moment.resize(std::max(moment.size(), other.size()));
  for (size_t i = 0; i < other.size(); ++i) moment[i] = std::max(moment[i], other[i]);
}

void begin_work(uint32_t stretch, size_t stream, uint64_t count, const Moment& known,
                const std::string& what) {
  history().works.push_back({stretch, stream, count, what});
  history().now = known;
  history().last_from = 1;
  history().last_to = 0;
}

bool comes_before(uint32_t stretch) {
  History& h = history();
  if (stretch < h.known_before) return true;
  if (stretch >= h.last_from && stretch <= h.last_to) return h.last_answer;
  const auto work = find(stretch);
  if (work == h.works.end()) return true;
  h.last_from = work->first;
  h.last_to =
      std::next(work) == h.works.end() ? std::numeric_limits<uint32_t>::max() : std::next(work)->first - 1;
  h.last_answer = work->stream < h.now.size() && h.now[work->stream] >= work->count;
  return h.last_answer;
}

std::string work_of(uint32_t stretch) {
  const auto work = find(stretch);
  return work == history().works.end() ? "earlier work" : work->what;
}

void forget_history(uint32_t next_stretch) {
  history().works.clear();
  history().known_before = next_stretch;
}

}  // namespace tensor::cuda::emulation
