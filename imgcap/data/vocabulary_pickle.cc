// A vocabulary out of a Python pickle: torchtext's Vocab, as the original keeps it in vocab.pkl.
#include <algorithm>

#include "imgcap/data/vocabulary.h"
#include "tensor/error.h"
#include "tensor/io/pickle.h"

namespace imgcap {
namespace {

using tensor::io::Pickle;
using tensor::io::PickleValue;
using Kind = PickleValue::Kind;

const PickleValue& at(const Pickle& pickle, const PickleValue& value, size_t item) {
  return pickle.values[value.items[item]];
}

// The state of torchtext._torchtext.Vocab: (version, [default index], tokens, tensors).
const PickleValue* tokens_of(const Pickle& pickle, const PickleValue& value) {
  if (value.kind != Kind::object || value.items.size() < 3) return nullptr;
  if (at(pickle, value, 0).text != "torchtext._torchtext.Vocab") return nullptr;
  const PickleValue& state = at(pickle, value, 2);
  if (state.kind != Kind::tuple || state.items.size() < 3) return nullptr;
  return &at(pickle, state, 2);
}

}  // namespace

Vocabulary Vocabulary::from_pickle(std::string_view bytes, const std::string& name) {
  using tensor::check;
  using tensor::ErrorKind;
  const Pickle pickle = tensor::io::read_pickle(std::as_bytes(std::span(bytes)), name);
  // A bare list of strings is as clear.
  const PickleValue& root = pickle.values[pickle.root];
  const PickleValue* list = root.kind == Kind::list ? &root : nullptr;
  for (const PickleValue& value : pickle.values)
    if (list == nullptr) list = tokens_of(pickle, value);
  check(list != nullptr && list->kind == Kind::list, ErrorKind::data,
        "{}: neither a vocabulary of torchtext nor a list of strings", name);
  check(list->items.size() <= bytes.size(), ErrorKind::data, "{}: more tokens than it has bytes", name);
  std::vector<std::string> tokens;
  for (size_t i = 0; i < list->items.size(); ++i) {
    const PickleValue& token = at(pickle, *list, i);
    check(token.kind == Kind::text, ErrorKind::data, "{}: token {} is no string", name, i);
    // Before it is copied: one string may be there many times.
    check(token.text.size() <= kMaxTokenBytes, ErrorKind::data,
          "{}: token {} has {} bytes; at most {} are read", name, i, token.text.size(), kMaxTokenBytes);
    tokens.push_back(token.text);
  }
  return tensor::about_file(name, [&] { return Vocabulary(std::move(tokens)); });
}

}  // namespace imgcap
