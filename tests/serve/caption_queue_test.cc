// Batches of searches: who is in them, and what becomes of those with errors and those that nobody waits for.
#include "imgcap/serve/caption_queue.h"

#include <doctest/doctest.h>

#include <future>
#include <map>

#include "tensor/error.h"
#include "tests/serve/eventually.h"
#include "tests/serve/small_captioner.h"
#include "tests/text.h"

using namespace imgcap;
using namespace imgcap::serve;
using tests::has;

namespace {

// What jobs come to, by their number; collected on the queue's thread, looked at when it has ended.
struct Outcome {
  std::vector<CaptionResult> results;
  std::vector<std::string> errors;
  bool ours = false;
};

class Outcomes {
 public:
  CaptionJob job(int number, const Captioner& captioner) {
    CaptionJob job;
    job.captioner = &captioner;
    job.photo = std::make_shared<Image>(tests::small_photo(number));
    BeamOptions search;
    search.beam = 3;
    search.max_words = 4 + number % 3;
    job.request.search = search;
    job.done = [this, number](CaptionResult result) { all_[number].results.push_back(std::move(result)); };
    job.failed = [this, number](const std::string& error, bool ours) {
      all_[number].errors.push_back(error);
      all_[number].ours = ours;
    };
    return job;
  }
  // That it was called back once, with a result.
  const CaptionResult& result(int number) {
    CAPTURE(number);
    REQUIRE(all_[number].results.size() == 1);
    CHECK(all_[number].errors.empty());
    return all_[number].results[0];
  }
  std::string error(int number, bool ours) {
    CAPTURE(number);
    REQUIRE(all_[number].errors.size() == 1);
    CHECK(all_[number].results.empty());
    CHECK(all_[number].ours == ours);
    return all_[number].errors[0];
  }
  // That its result is what the captioner gives for it alone.
  void check_alone(int number, const Captioner& captioner) {
    CaptionJob alone = job(number, captioner);
    alone.request.image = alone.photo.get();
    const CaptionResult right = captioner.caption(alone.request);
    const CaptionResult& given = result(number);
    REQUIRE(given.captions.size() == right.captions.size());
    CHECK_FALSE(given.stopped);
    CHECK_FALSE(right.captions[0].text.empty());
    CHECK(given.captions[0].text == right.captions[0].text);
    CHECK(given.captions[0].log_probability == right.captions[0].log_probability);
  }

 private:
  std::map<int, Outcome> all_;
};

struct Counted {
  int64_t batches, searches, dropped, waiting;
  explicit Counted(const QueueNumbers& numbers)
      : batches(numbers.batches),
        searches(numbers.searches),
        dropped(numbers.dropped),
        waiting(numbers.waiting) {}
};

// Gives the jobs to a queue at once, and returns when it has ended.
Counted run(std::vector<CaptionJob> jobs, size_t batch) {
  std::promise<void> over;
  const auto left = std::make_shared<std::atomic<size_t>>(jobs.size());
  for (CaptionJob& job : jobs) {
    const auto one_less = [&over, left] {
      if (--*left == 0) over.set_value();
    };
    job.done = [one_less, done = job.done](CaptionResult result) { done(std::move(result)), one_less(); };
    job.failed = [one_less, failed = job.failed](const std::string& error, bool ours) {
      failed(error, ours), one_less();
    };
  }
  CaptionQueue queue(batch, 1);
  const auto all = static_cast<int64_t>(jobs.size());
  queue.add(std::move(jobs));
  over.get_future().wait();
  const QueueNumbers& numbers = queue.numbers();
  CHECK(tests::eventually([&] { return numbers.searches + numbers.dropped == all; }));
  return Counted(numbers);
}

}  // namespace

TEST_CASE("caption queue: in batches, each result is as alone") {
  const Captioner& captioner = *tests::small_captioner();
  Outcomes outcomes;
  std::vector<CaptionJob> jobs;
  for (int i = 0; i < 6; ++i) jobs.push_back(outcomes.job(i, captioner));
  const Counted numbers = run(std::move(jobs), 4);
  CHECK(numbers.batches == 2);
  CHECK(numbers.searches == 6);
  CHECK(numbers.dropped == 0);
  CHECK(numbers.waiting == 0);
  for (int i = 0; i < 6; ++i) outcomes.check_alone(i, captioner);
}

TEST_CASE("caption queue: a batch is of one model") {
  const Captioner &one = *tests::small_captioner(), &other = *tests::plain_captioner();
  Outcomes outcomes;
  std::vector<CaptionJob> jobs;
  for (int i = 0; i < 6; ++i) jobs.push_back(outcomes.job(i, i % 2 == 0 ? one : other));
  const Counted numbers = run(std::move(jobs), 16);
  CHECK(numbers.batches == 2);
  CHECK(numbers.searches == 6);
  for (int i = 0; i < 6; ++i) outcomes.check_alone(i, i % 2 == 0 ? one : other);
}

TEST_CASE("caption queue: an error is its own job's") {
  const Captioner& captioner = *tests::small_captioner();
  Outcomes outcomes;
  std::vector<CaptionJob> jobs;
  for (int i = 0; i < 6; ++i) jobs.push_back(outcomes.job(i, captioner));
  jobs[1].request.language = "xx";
  std::get<BeamOptions>(jobs[2].request.search).beam = 1000;
  jobs[3].request.on_word = [](const std::string&) { throw std::runtime_error("planted"); };
  jobs[4].request.on_word = [](const std::string&) { tensor::fail(tensor::ErrorKind::data, "planted data"); };
  run(std::move(jobs), 16);
  CHECK(has(outcomes.error(1, false), "xx"));
  CHECK(has(outcomes.error(2, false), "beam"));
  CHECK(outcomes.error(3, true) == "planted");
  CHECK(outcomes.error(4, true) == "planted data");
  for (const int i : {0, 5}) outcomes.check_alone(i, captioner);
}

TEST_CASE("caption queue: what nobody waits for is dropped") {
  const Captioner& captioner = *tests::small_captioner();
  const std::atomic<bool> over{true}, not_over{false};
  Outcomes outcomes;
  std::vector<CaptionJob> jobs;
  for (int i = 0; i < 4; ++i) {
    jobs.push_back(outcomes.job(i, captioner));
    jobs.back().request.stop = i % 2 == 0 ? &over : &not_over;
  }
  Counted numbers = run(std::move(jobs), 16);
  CHECK(numbers.dropped == 2);
  CHECK(numbers.searches == 2);
  CHECK(numbers.batches == 1);
  for (const int i : {0, 2}) {
    CHECK(outcomes.result(i).stopped);
    CHECK(outcomes.result(i).captions.empty());
  }
  for (const int i : {1, 3}) outcomes.check_alone(i, captioner);

  Outcomes nobodys;
  CaptionJob job = nobodys.job(0, captioner);
  job.request.stop = &over;
  numbers = run({job}, 16);
  CHECK(numbers.dropped == 1);
  CHECK(numbers.batches == 0);
  CHECK(nobodys.result(0).stopped);
}

TEST_CASE("caption queue: a search that is under way stops") {
  const Captioner& captioner = *tests::small_captioner();
  std::atomic<bool> over{false};
  Outcomes outcomes;
  CaptionJob stopped = outcomes.job(0, captioner);
  std::get<BeamOptions>(stopped.request.search).beam = 1;
  std::get<BeamOptions>(stopped.request.search).rules.min_words = 40;
  std::get<BeamOptions>(stopped.request.search).rules.tokens = captioner.info().vocabulary;
  std::get<BeamOptions>(stopped.request.search).max_words = 50;
  int calls = 0;
  stopped.request.stop = &over;
  stopped.request.on_word = [&](const std::string&) { over = ++calls == 2; };
  run({stopped, outcomes.job(1, captioner)}, 16);
  CHECK(outcomes.result(0).stopped);
  CHECK(calls == 2);
  outcomes.check_alone(1, captioner);
}

TEST_CASE("caption queue: it ends when all that was added is done") {
  const Captioner& captioner = *tests::small_captioner();
  Outcomes outcomes;
  {
    CaptionQueue queue(4, 1e7);  // nobody waits so long for a batch to fill when it ends
    std::vector<CaptionJob> jobs;
    for (int i = 0; i < 3; ++i) jobs.push_back(outcomes.job(i, captioner));
    queue.add(std::move(jobs));
    queue.add({});
    queue.add({outcomes.job(3, captioner), outcomes.job(4, captioner)});
  }
  for (int i = 0; i < 5; ++i) outcomes.check_alone(i, captioner);
  CaptionQueue();
}

TEST_CASE("caption queue: those that wait are counted") {
  const Captioner& captioner = *tests::small_captioner();
  Outcomes outcomes;
  std::promise<void> begun, go_on;
  CaptionQueue queue(1, 0);
  CaptionJob first = outcomes.job(0, captioner);
  first.done = [&](const CaptionResult&) {
    begun.set_value();
    go_on.get_future().wait();
  };
  queue.add({first});
  begun.get_future().wait();
  CHECK(queue.numbers().waiting == 0);
  queue.add({outcomes.job(1, captioner), outcomes.job(2, captioner)});
  CHECK(queue.numbers().waiting == 2);
  CHECK(queue.numbers().batches == 1);
  go_on.set_value();
}
