#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <map>
#include <string>

#include "tests/skip.h"

namespace {

// doctest's own, but a skipped case is none that passed. Each gives a line of its own, and the program's last
// line counts them by reason; scripts/run_tests.sh adds these up.
class Reporter : public doctest::ConsoleReporter {
 public:
  using ConsoleReporter::ConsoleReporter;

  void test_case_start(const doctest::TestCaseData& test) override {
    tests::skip_reason.clear();
    ConsoleReporter::test_case_start(test);
  }

  void test_case_end(const doctest::CurrentTestCaseStats& stats) override {
    ConsoleReporter::test_case_end(stats);
    if (tests::skip_reason.empty() || !stats.testCaseSuccess) return;
    ++skipped_[tests::skip_reason];
    s << "skipped (" << tests::skip_reason << "): " << tc->m_name << std::endl;
  }

  void test_run_end(const doctest::TestRunStats& stats) override {
    doctest::TestRunStats others = stats;
    std::string reasons;
    for (const auto& [reason, count] : skipped_) {
      others.numTestCasesPassingFilters -= count;
      reasons += (reasons.empty() ? "" : "; ") + std::to_string(count) + " x " + reason;
    }
    ConsoleReporter::test_run_end(others);
    if (!reasons.empty()) s << "skipped: " << reasons << std::endl;
  }

 private:
  std::map<std::string, unsigned> skipped_;  // by reason
};

DOCTEST_REGISTER_REPORTER("counting", 0, Reporter);

}  // namespace

int main(int argc, char** argv) {
  doctest::Context context(argc, argv);
  const auto chosen = [&](const std::string& option) {
    for (int i = 1; i < argc; ++i)
      for (const char* prefix : {"-", "--", "-dt-", "--dt-"})
        if (std::string(argv[i]).starts_with(prefix + option + "=")) return true;
    return false;
  };
  if (!chosen("reporters") && !chosen("r")) context.addFilter("reporters", "counting");
  return context.run();
}
