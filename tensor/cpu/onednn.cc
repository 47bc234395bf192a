#include "tensor/cpu/onednn.h"

#if defined(IMGCAP_HAVE_ONEDNN)
#include <omp.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <dnnl.hpp>

#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "tensor/onednn.h"
#endif

namespace tensor::cpu {

#if defined(IMGCAP_HAVE_ONEDNN)
namespace {

std::atomic<bool> onednn_gone{false};
std::atomic<int> onednn_products{0};

struct OneDnnEnds {
  ~OneDnnEnds() {
    onednn_gone = true;
    while (onednn_products > 0) std::this_thread::yield();
  }
};

bool prepare_onednn() {
  // Makes the static objects, so that they are destroyed after what is made next.
  omp_set_num_threads(1);
  const std::vector<float> a(64 * 64);
  std::vector<float> c(64 * 64);
  dnnl_sgemm('N', 'N', 64, 64, 64, 1, a.data(), 64, a.data(), 64, 0, c.data(), 64);
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  const dnnl::memory::desc matrix({16, 16}, dnnl::memory::data_type::f32, dnnl::memory::format_tag::ab);
  dnnl::matmul({{matrix, matrix, matrix}, engine});
  return true;
}

void notice_end() {
  [[maybe_unused]] static const bool prepared = prepare_onednn();
  [[maybe_unused]] static const OneDnnEnds with_the_process;
  // Before any static object, those go that are the main thread's own.
  thread_local bool known = false;
  if (std::exchange(known, true)) return;
  if (syscall(SYS_gettid) != getpid()) return;
  [[maybe_unused]] thread_local const OneDnnEnds with_main;
}

}  // namespace

OneDnnProduct::Counted::Counted() {
  ++onednn_products;
  allowed = uses_onednn() && !onednn_gone;
  if (!allowed) --onednn_products;
}

OneDnnProduct::Counted::~Counted() {
  if (allowed) --onednn_products;
}

OneDnnProduct::OneDnnProduct() {
  if (allowed()) notice_end();
}

void keep_onednn_on_this_thread() {
  [[maybe_unused]] thread_local const bool single_threaded = (omp_set_num_threads(1), true);
}
#endif

}  // namespace tensor::cpu
