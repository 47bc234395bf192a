// The two containers in which torch.save has kept a pickle and the bytes of its tensors: a zip archive since
// PyTorch 1.6, a row of pickles and bytes before (and with _use_new_zipfile_serialization=False).
// Source: torch/serialization.py (_legacy_save, _save), https://github.com/pytorch/pytorch.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tensor/io/mapped_file.h"
#include "tensor/io/pickle.h"
#include "tensor/io/zip.h"

namespace tensor::io::internal {

class PthContainer {
 public:
  // Errors: those of read_pth().
  explicit PthContainer(const std::filesystem::path& path);

  const Pickle& pickle() const { return pickle_; }
  const std::string& name() const { return file_->name(); }
  int64_t file_bytes() const { return file_->size(); }

  // All elements of a storage that the pickle names (an index in Pickle::storages, whose views are not looked
  // at), read-only, in one dimension. `tensor` is named in errors. Made once; bytes are copied only where
  // they are not aligned or have to be widened.
  const Tensor& elements(size_t storage, const std::string& tensor);

 private:
  // Where a storage's bytes stand.
  struct Place {
    int64_t offset = 0, bytes = 0;
  };

  void open_archive();
  void open_old();
  std::span<const std::byte> content(const std::string& entry) const;
  Place place_of(const PickleStorage& storage, const std::string& tensor) const;

  std::shared_ptr<const MappedFile> file_;
  Pickle pickle_;
  std::map<std::string, ZipEntry> entries_;
  std::string root_;                         // the archive's folder
  std::map<std::string, Place> old_places_;  // by key
  std::map<std::string, Tensor> elements_;   // by key
};

}  // namespace tensor::io::internal
