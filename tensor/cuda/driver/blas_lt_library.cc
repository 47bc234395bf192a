#include "tensor/cuda/driver/blas_lt_library.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include "tensor/error.h"

// Null where the program brings none.
#define WEAK(name) extern "C" [[gnu::weak]] decltype(::name) name
IMGCAP_BLAS_LT_FUNCTIONS(WEAK);
#undef WEAK

namespace tensor::cuda {
namespace {

std::string file_name() { return tensor::format("libcublasLt.so.{}", CUBLAS_VER_MAJOR); }

BlasLt linked_functions() {
  BlasLt blas;
#define TAKE(name) blas.name = ::name
  IMGCAP_BLAS_LT_FUNCTIONS(TAKE);
#undef TAKE
  return blas;
}

BlasLt functions_of(void* library, const std::string& file, const char* op) {
  BlasLt blas;
  const auto find = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(library, name));
    check(function != nullptr, ErrorKind::cuda, "{}: {} has no {}", op, file, name);
  };
#define FIND(name) find(blas.name, #name)
  IMGCAP_BLAS_LT_FUNCTIONS(FIND);
#undef FIND
  const size_t version = blas.cublasLtGetVersion();
  check(version / 10000 == CUBLAS_VER_MAJOR, ErrorKind::cuda, "{}: {} is version {}, and {} is needed", op,
        file, version, CUBLAS_VER_MAJOR);
  return blas;
}

// Each folder once, in the order in which they come.
class Folders {
 public:
  void add(std::string folder) {
    if (std::find(all.begin(), all.end(), folder) == all.end()) all.push_back(std::move(folder));
  }
  void add_list(std::string_view list) {  // with : between them
    while (!list.empty()) {
      const std::string_view folder = list.substr(0, list.find(':'));
      if (!folder.empty()) add(std::string(folder));
      list.remove_prefix(std::min(list.size(), folder.size() + 1));
    }
  }
  void add_python(const std::string& prefix) {  // of the packages of its Python 3
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(prefix + "/lib", none)) {
      if (!entry.path().filename().string().starts_with("python3")) continue;
      const std::string packages = entry.path().string() + "/site-packages/nvidia";
      add(packages +
          (CUBLAS_VER_MAJOR >= 13 ? tensor::format("/cu{}/lib", CUBLAS_VER_MAJOR) : "/cublas/lib"));
    }
  }

  std::vector<std::string> all;
};

}  // namespace

std::vector<std::string> library_folders(const char* (*value_of)(const char* name)) {
  Folders folders;
  const auto with_value = [&](const char* name, const auto& add) {
    if (const char* value = value_of(name); value != nullptr && *value != '\0') add(std::string(value));
  };
  with_value("IMGCAP_CUDA_LIBRARIES", [&](const std::string& list) { folders.add_list(list); });
  folders.add(kLinkersSearch);
  for (const char* name : {"CUDA_PATH", "CUDA_HOME"})
    with_value(name, [&](const std::string& toolkit) { folders.add(toolkit + "/lib64"); });
  folders.add(tensor::format("/usr/local/cuda-{}/lib64", CUBLAS_VER_MAJOR));
  folders.add("/usr/local/cuda/lib64");
  for (const char* name : {"VIRTUAL_ENV", "CONDA_PREFIX"})
    with_value(name, [&](const std::string& prefix) { folders.add_python(prefix); });
  return folders.all;
}

BlasLt load_blas_lt(const std::vector<std::string>& folders, const char* op) {
  for (const std::string& folder : folders) {
    const std::string file = folder == kLinkersSearch ? file_name() : folder + "/" + file_name();
    if (void* library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL)) return functions_of(library, file, op);
    const char* why = ::dlerror();
    check(!std::filesystem::exists(file), ErrorKind::cuda, "{}: {}", op, why);
  }
  fail(ErrorKind::cuda, "{}: {} was not found in {}; IMGCAP_CUDA_LIBRARIES names the folder where it is", op,
       file_name(), join(folders, ", "));
}

const BlasLt& blas_lt(const char* op) {
  static const BlasLt& blas = *new BlasLt([op] {
    if (::cublasLtCreate != nullptr) return linked_functions();
    return load_blas_lt(library_folders([](const char* name) -> const char* { return std::getenv(name); }),
                        op);
  }());
  return blas;
}

}  // namespace tensor::cuda
