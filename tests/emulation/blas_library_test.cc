// How a program that brings no cuBLASLt finds NVIDIA's; and, where it is, that descriptors of the emulated one
// take and refuse what NVIDIA's do.
#include <cstdlib>
#include <filesystem>

#include "tensor/cuda/driver/blas_lt_library.h"
#include "tests/tensor/io_test_util.h"
#include "tests/tensor/reference.h"

using namespace tests;
using tensor::cuda::BlasLt;
using tensor::cuda::kLinkersSearch;
using tensor::cuda::library_folders;
using tensor::cuda::load_blas_lt;

namespace {

const char* no_value(const char*) { return nullptr; }

// What calls on descriptors say, in their order: sizes of attributes, attributes that there are not, null.
std::vector<cublasStatus_t> descriptor_statuses(const BlasLt& blas) {
  std::vector<cublasStatus_t> said;
  cublasLtMatrixLayout_t layout = nullptr;
  cublasLtMatmulDesc_t desc = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;
  said.push_back(blas.cublasLtMatrixLayoutCreate(&layout, CUDA_R_32F, 3, 4, 2));
  said.push_back(blas.cublasLtMatrixLayoutCreate(nullptr, CUDA_R_32F, 3, 4, 3));
  said.push_back(blas.cublasLtMatmulDescCreate(&desc, CUBLAS_COMPUTE_32F, CUDA_R_64F));
  said.push_back(blas.cublasLtMatmulPreferenceCreate(&preference));
  const int64_t value = 1;
  for (const void* address : {static_cast<const void*>(&value), static_cast<const void*>(nullptr)})
    for (const size_t bytes : {size_t{2}, size_t{4}, size_t{8}}) {
#define LAYOUT(name, number) \
  said.push_back(blas.cublasLtMatrixLayoutSetAttribute(layout, name, address, bytes));
      IMGCAP_CUBLASLT_LAYOUT_ATTRIBUTES(LAYOUT)
#undef LAYOUT
#define DESC(name, number) said.push_back(blas.cublasLtMatmulDescSetAttribute(desc, name, address, bytes));
      IMGCAP_CUBLASLT_DESC_ATTRIBUTES(DESC)
#undef DESC
#define PREFERENCE(name, number) \
  said.push_back(blas.cublasLtMatmulPreferenceSetAttribute(preference, name, address, bytes));
      IMGCAP_CUBLASLT_PREFERENCE_ATTRIBUTES(PREFERENCE)
#undef PREFERENCE
    }
  said.push_back(blas.cublasLtMatrixLayoutSetAttribute(nullptr, CUBLASLT_MATRIX_LAYOUT_LD, &value, 8));
  said.push_back(blas.cublasLtMatrixLayoutSetAttribute(
      layout, static_cast<cublasLtMatrixLayoutAttribute_t>(99), &value, 8));
  said.push_back(blas.cublasLtMatmulPreferenceDestroy(preference));
  said.push_back(blas.cublasLtMatmulDescDestroy(desc));
  said.push_back(blas.cublasLtMatrixLayoutDestroy(layout));
  return said;
}

}  // namespace

TEST_CASE("the folders that are searched for cuBLASLt") {
  CHECK(library_folders(no_value) ==
        std::vector<std::string>{kLinkersSearch, "/usr/local/cuda-13/lib64", "/usr/local/cuda/lib64"});
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "lib/python3.11");
  static std::string prefix;
  prefix = folder.path().string();
  const auto value_of = [](const char* name) -> const char* {
    const std::string_view asked = name;
    return asked == "IMGCAP_CUDA_LIBRARIES" ? "/one:/two:"
           : asked == "CUDA_HOME"           ? "/toolkit"
           : asked == "VIRTUAL_ENV"         ? prefix.c_str()
           : asked == "CUDA_PATH"           ? "/usr/local/cuda"
                                            : nullptr;
  };
  CHECK(library_folders(value_of) ==
        std::vector<std::string>{"/one", "/two", kLinkersSearch, "/usr/local/cuda/lib64", "/toolkit/lib64",
                                 "/usr/local/cuda-13/lib64",
                                 prefix + "/lib/python3.11/site-packages/nvidia/cu13/lib"});
  CHECK(library_folders([](const char*) { return ""; }) == library_folders(no_value));
}

TEST_CASE("a cuBLASLt that is not there, or is none, is one clear sentence") {
  const TemporaryFolder folder;
  check_error(ErrorKind::cuda,
              {"matmul: libcublasLt.so.13 was not found in " + folder.path().string() +
               ", /nowhere; IMGCAP_CUDA_LIBRARIES names the folder where it is"},
              [&] {
                load_blas_lt({folder.path().string(), "/nowhere"}, "matmul");
              });
  put_file(folder / "libcublasLt.so.13", "no library");
  check_error(ErrorKind::cuda, {"matmul: ", "libcublasLt.so.13", "file too short"},
              [&] { load_blas_lt({folder.path().string()}, "matmul"); });
}

TEST_CASE("NVIDIA's cuBLASLt, where a toolkit is: all functions, and the same answers about descriptors") {
  const auto folders = library_folders([](const char* name) -> const char* { return std::getenv(name); });
  BlasLt nvidia;
  try {
    nvidia = load_blas_lt(folders, "test");
  } catch (const tensor::Error& error) {
    MESSAGE("skipped: ", std::string(error.what()));
    return;
  }
  CHECK(nvidia.cublasLtGetVersion() >= 130000);
  const BlasLt& emulated = tensor::cuda::blas_lt("test");
  REQUIRE((emulated.cublasLtCreate != nvidia.cublasLtCreate));
  CHECK(descriptor_statuses(emulated) == descriptor_statuses(nvidia));
#define NAME(name, number) \
  CHECK(std::string(emulated.cublasLtGetStatusName(name)) == nvidia.cublasLtGetStatusName(name));
  IMGCAP_CUBLAS_STATUSES(NAME)
#undef NAME
}
