// NumPy's .npy files, version 1.0: single arrays, for tests and for debugging with Python.
// Specification: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#pragma once

#include <filesystem>

#include "tensor/tensor.h"

namespace tensor::io {

// Every dtype but bf16, which NumPy lacks (a dtype error). As a whole or not at all (see
// write_file_atomically).
void write_npy(const std::filesystem::path& path, const Tensor& values);

// A read-only view of the mapped file, in row-major order. A data error, with the file's name, for everything
// else: big-endian, Fortran order, other dtypes, more than 8 dimensions, too few or too many bytes.
Tensor read_npy(const std::filesystem::path& path);

}  // namespace tensor::io
