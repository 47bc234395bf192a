// What PyTorch's files hold beside tensors, and the files of before PyTorch 1.6. golden/pth_*.pth were saved
// by PyTorch (golden/make_pth.py); the hostile ones are made here.
#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

#include "tensor/io/pickle.h"
#include "tensor/io/pth.h"
#include "tests/data_dir.h"
#include "tests/tensor/pth_pieces.h"

using tensor::DType;
using tensor::Shape;
using tensor::Tensor;
using tensor::io::PthFile;
using tensor::io::read_pth;
using namespace tests;

namespace {

std::filesystem::path golden(const std::string& name) {
  return source_dir() / "tests/golden" / ("pth_" + name + ".pth");
}

std::vector<double> values(const Tensor& t) { return t.to(DType::f64).to_vector<double>(); }

// A pickle of what stands in `body`.
tensor::io::Pickle read(const std::string& body) {
  const std::string bytes = pickle(body);
  return tensor::io::read_pickle(std::as_bytes(std::span(bytes)), "a.pkl");
}

std::string as_text(const std::string& body, size_t longest = 200) {
  const auto pickle = read(body);
  return to_text(pickle, pickle.root, longest);
}

// A file as PyTorch saved before 1.6, of a pickle and its storages.
struct OldFile {
  std::string magic = "\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19.", version = "M\xe9\x03.",
              machine = "}" + text("little_endian") + "\x88s.", body, keys = "]" + text("0") + "a.",
              storages = little_endian(2, 8) + std::string("\1\0\0\0\2\0\0\0", 8);

  std::string bytes() const {
    return "\x80\x02" + magic + "\x80\x02" + version + "\x80\x02" + machine + pickle(body) + "\x80\x02" +
           keys + storages;
  }
};

// The persistent id of a storage with a view of it.
std::string viewed(int64_t numel, int64_t begin, int64_t size, const char* key = "0") {
  return "(" + text("storage") + global("torch", "IntStorage") + text(key) + text("cpu") + integer(numel) +
         "(" + text("view") + integer(begin) + integer(size) + "ttQ";
}

}  // namespace

TEST_CASE("pth: values that are no tensors are kept as text, and nothing is called") {
  const std::map<std::string, std::string> expected{
      {"args", "argparse.Namespace()"},           {"class", "__main__.Net"},
      {"complex", "builtins.complex(1, 2)"},      {"counts", "collections.Counter({'a': 2, 'b': 1})"},
      {"device", "torch.device('cuda', 1)"},      {"dtype", "torch.float32"},
      {"frozen", "builtins.frozenset(['b'])"},    {"function", "builtins.len"},
      {"path", "pathlib.PurePosixPath('a', 'b')"}};
  for (const char* name : {"others", "old_others", "others4", "others5"}) {
    CAPTURE(name);
    const PthFile file = read_pth(golden(name));
    for (const auto& [key, value] : expected) {
      CAPTURE(key);
      REQUIRE(file.others.contains(key));
      std::string said = file.others.at(key);
      // Python 2's name of the module, which protocol 2 writes.
      if (said.starts_with("__builtin__")) said.replace(0, 11, "builtins");
      CHECK(said == value);
    }
    CHECK(file.others.contains("array"));
    CHECK(file.others.contains("names"));
    CHECK(values(file.tensors.at("w")) == std::vector<double>{0, 1, 2, 3, 4, 5});
    CHECK(values(file.tensors.at("default.inner")) == std::vector<double>{0, 1});
    for (const char* key : {"(1, 2)", "1.5", "True", "None", "torch.float16"}) {
      CAPTURE(key);
      CHECK(values(file.tensors.at(key)) == std::vector<double>{0});
    }
    CHECK(file.scalars.at("('a', None)") == "7");
  }
  const PthFile attack = read_pth(golden("attack"));
  CHECK(attack.others == std::map<std::string, std::string>{{"payload", "posix.system('echo executed')"}});
  CHECK(values(attack.tensors.at("weight")) == std::vector<double>{0, 1});
}

TEST_CASE("pth: int8 and int16 become int32") {
  const PthFile file = read_pth(golden("int16"));
  CHECK(file.tensors.at("layer.weight").dtype() == DType::i32);
  CHECK(file.tensors.at("layer.weight").to_vector<int32_t>() == std::vector<int32_t>{1, -1, 32767, -32768});
  CHECK(file.tensors.at("layer.small").shape() == Shape{2, 2});
  CHECK(file.tensors.at("layer.small").to_vector<int32_t>() == std::vector<int32_t>{-128, 0, 127, -1});
}

TEST_CASE("pth: a module that was saved whole is its state dict") {
  for (const char* name : {"module", "module4", "old_module"}) {
    CAPTURE(name);
    const PthFile file = read_pth(golden(name));
    std::vector<std::string> names;
    for (const auto& [key, value] : file.tensors) names.push_back(key);
    CHECK(names == std::vector<std::string>{"kept", "linear.weight", "norm.bias", "norm.num_batches_tracked",
                                            "norm.running_mean", "norm.running_var", "norm.weight"});
    CHECK(values(file.tensors.at("linear.weight")) == std::vector<double>{0, 1, 2, 3});
    CHECK(file.others.empty());
  }
}

TEST_CASE("pth: files of before PyTorch 1.6") {
  CHECK(values(read_pth(golden("old")).tensors.at("weight")) == std::vector<double>{0, 1});
  const PthFile file = read_pth(golden("old_views"));
  CHECK(file.tensors.size() == 10);
  CHECK(values(file.tensors.at("transposed")) == std::vector<double>{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11});
  CHECK(values(file.tensors.at("window")) == std::vector<double>{5, 6, 9, 10});
  CHECK(file.tensors.at("tied.0").raw() == file.tensors.at("tied.1").raw());
  CHECK(file.tensors.at("half").dtype() == DType::f16);
  CHECK(values(file.tensors.at("half")) == std::vector<double>{0, 1, 2});
  CHECK(values(file.tensors.at("flag")) == std::vector<double>{1, 0});
  CHECK(values(file.tensors.at("small")) == std::vector<double>{-3, 3});
  CHECK(values(file.tensors.at("double")) == std::vector<double>{0, 1, 2, 3});
  CHECK(file.tensors.at("empty").shape() == Shape{0, 2});

  const tests::TemporaryFolder folder;
  const auto path = folder / "a.pth";
  OldFile old;
  // Before 2018 a storage could be a view of another one, and tensors had no hooks.
  old.body = global("torch._utils", "_rebuild_tensor") + "(" + viewed(2, 1, 1) + integer(0) + tuple({1}) +
             tuple({1}) + "tR";
  put_file(path, old.bytes());
  CHECK(read_pth(path).tensors.at("").to_vector<int32_t>() == std::vector<int32_t>{2});
  // Python 2 wrote a state dict as a list of pairs, and its tensors lay on a GPU.
  old.body = global("collections", "OrderedDict") + "](](U\1w" + "(" + text("storage") +
             global("torch.cuda", "IntStorage") + text("0") + text("cuda:0") + integer(2) + "NtQ" +
             "q\1"
             "0" +
             global("torch._utils", "_rebuild_tensor") + "(h\1" + integer(0) + tuple({2}) + tuple({1}) +
             "tRee\x85R";
  put_file(path, old.bytes());
  CHECK(read_pth(path).tensors.at("w").to_vector<int32_t>() == std::vector<int32_t>{1, 2});
}

TEST_CASE("pth: an old file cut anywhere is refused, and so is what does not belong together") {
  const tests::TemporaryFolder folder;
  const auto path = folder / "a.pth";
  for (const char* name : {"old_views", "old_others"}) {
    const std::string good = get_file(golden(name));
    for (size_t size = 0; size < good.size(); ++size) {
      put_file(path, good.substr(0, size));
      CAPTURE(size);
      CHECK(error_of([&] { read_pth(path); }).starts_with("data: "));
    }
    for (size_t i = 0; i < good.size(); ++i) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ (1 << i % 8));
      put_file(path, bad);
      const std::string error = error_of([&] {
        for (const auto& [key, t] : read_pth(path).tensors) (void)t.clone();
      });
      CAPTURE(error);
      CHECK((error == "no error" || error.starts_with("data: ")));
    }
  }
  OldFile good;
  good.body = tensor_of(storage("IntStorage", "0", 2), 0, tuple({2}), tuple({1}));
  const auto refused = [&](const OldFile& file, const char* expected) {
    put_file(path, file.bytes());
    CHECK_ERROR(read_pth(path), "data", "a.pth");
    CHECK_ERROR(read_pth(path), "data", expected);
  };
  put_file(path, good.bytes());
  CHECK(read_pth(path).tensors.at("").to_vector<int32_t>() == std::vector<int32_t>{1, 2});
  OldFile bad = good;
  bad.magic = "K\1.";
  refused(bad, "a pickle, but not one of torch.save");
  bad = good, bad.version = "K\1.";
  refused(bad, "of another version than 1001");
  bad = good, bad.machine = "}" + text("little_endian") + "\x89s.";
  refused(bad, "byte order 'big'");
  bad = good, bad.keys = "N.";
  refused(bad, "the keys of its storages are no list");
  bad = good, bad.keys = "]K\1a.";
  refused(bad, "a storage '?' that no tensor has");
  bad = good, bad.keys = "]" + text("1") + "a.";
  refused(bad, "a storage '1' that no tensor has");
  bad = good, bad.keys = "].", bad.storages = "";
  refused(bad, "its storage '0' is missing");
  bad = good, bad.keys = "](" + text("0") + text("0") + "e.", bad.storages += bad.storages;
  refused(bad, "the storage '0' appears twice");
  bad = good, bad.storages = little_endian(3, 8) + std::string(12, 'x');
  refused(bad, "the storage '0' has 3 elements, not 2");
  bad = good, bad.storages += "x";
  refused(bad, "1 bytes follow its last storage");
  const auto huge = static_cast<uint64_t>(INT64_MAX);
  bad = good, bad.storages = little_endian(huge, 8);
  bad.body = tensor_of("(" + text("storage") + global("torch", "IntStorage") + text("0") + text("cpu") +
                           "\x8a\x08" + little_endian(huge, 8) + "tQ",
                       0, tuple({2}), tuple({1}));
  refused(bad, "cut off");
  const auto view = [&](int64_t begin, int64_t size, int64_t shape) {
    bad = good, bad.body = tensor_of(viewed(2, begin, size), 0, tuple({shape}), tuple({1}));
    return bad;
  };
  refused(view(1, 2, 1), "2 elements from element 1 reach outside a storage of 2");
  refused(view(-1, 2, 1), "a view's begin: -1 is negative");
  refused(view(1, 1, 2), "reaches outside its storage of 1 elements");
  bad = good, bad.body = "(" + storage("QUInt4x2Storage", "0", 2) + "t";
  refused(bad, "elements of 'torch.QUInt4x2Storage' are not supported");
}

TEST_CASE("pickle: what a call of any name is") {
  CHECK(as_text(global("os", "system") + text("echo x") + "\x85R") == "os.system('echo x')");
  CHECK(as_text("\x8c\x02os\x8c\x06system\x93" + text("echo x") + "\x85R") == "os.system('echo x')");
  CHECK(as_text("("s + text("echo x") + "ios\nsystem\n") == "os.system('echo x')");
  CHECK(as_text("("s + global("os", "system") + text("echo x") + "o") == "os.system('echo x')");
  CHECK(as_text(global("os", "system") + text("echo x") + "\x85\x81") == "os.system('echo x')");
  CHECK(as_text(global("os", "system") + ")}" + text("k") + "K\1s\x92") == "os.system()");
  CHECK(as_text(global("builtins", "eval")) == "builtins.eval");
  CHECK(as_text(global("functools", "partial") + global("os", "system") + "\x85R)R") ==
        "functools.partial(os.system)()");
  CHECK(as_text(global("torch", "FloatStorage") + integer(1) + "\x85R") == "torch.FloatStorage(1)");
  CHECK(as_text(global("collections", "OrderedDict") + "]\x85R") == "{}");
  CHECK(as_text(global("collections", "OrderedDict") + "K\1\x85R") == "collections.OrderedDict(1)");
  CHECK(as_text(global("_codecs", "encode") + text("x") + text("rot13") + "\x86R") ==
        "_codecs.encode('x', 'rot13')");
  CHECK(as_text("](\x88\x89NG\x3f\xf8" + std::string(6, '\0') +
                "K\1\x85K\1K\2\x86"
                "C\1x}K\1K\2se") == "[True, False, None, 1.5, (1,), (1, 2), b'x', {1: 2}]");
  CHECK(as_text("]]]]]K\1aaaaa") == "[[[[...]]]]");
  CHECK(as_text(text(std::string(300, 'x')), 10) == "'xxxxxxxxx...");
  // What an object was given after it was made stands behind its arguments: state, items, pairs.
  const auto given = read(global("a", "b") + ")\x81K\1" + "bK\2" + "aK\3K\4s");
  const auto& object = given.values[given.root];
  CHECK(object.kind == tensor::io::PickleValue::Kind::object);
  std::vector<int64_t> numbers;
  for (size_t i = 2; i < object.items.size(); ++i) numbers.push_back(given.values[object.items[i]].integer);
  CHECK(numbers == std::vector<int64_t>{1, 2, 3, 4});
}

TEST_CASE("pickle: calls that mean something here, with what they cannot mean") {
  const auto refused = [&](const std::string& body, const char* expected) {
    CHECK_ERROR(read(body), "data", "a.pkl: pickle, byte ");
    CHECK_ERROR(read(body), "data", expected);
  };
  refused("\x82\x01", "opcode 0x82");  // names by number, of a table that Python has
  refused("I1\n", "opcode 0x49");
  refused(text("x") + ")R", "what is called is text, not a name");
  refused(global("os", "system") + "]R", "what a call gets is a list, not a tuple");
  refused("(o", "an object without a class");
  refused("N(K\1\x90", "what gets items is None, not an object");
  refused(global("torch", "Size") + "]\x85R", "the argument of torch.Size is a list, not a tuple");
  refused(global("torch._utils", "_rebuild_parameter") + "(NNNtR", "is None, not a tensor");
  refused(global("torch._utils", "_rebuild_tensor_v2") + "(NNNNNNtR", "a tensor's storage is None");
  refused("]}b", "sets the state of a list: refused");
  refused(global("numpy", "dtype") + text("f8") + "\x85R)b", "state is too short");
  refused(global("_codecs", "encode") + text("\xe2\x82\xac") + text("latin1") + "\x86R",
          "a character above 255");
  refused(text("module") + "Q", "a persistent id is text, not a tuple");
  refused(")Q", "a persistent id's type is None, not text");
  refused("("s + text("module") + "NNNNtQ", "not a storage's");
  refused("("s + text("storage") + global("torch", "Size") + text("0") + text("cpu") + integer(1) + "tQ",
          "'torch.Size' is not a storage class");
}
