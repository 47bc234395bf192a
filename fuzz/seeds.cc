// Writes what the fuzzers begin with: seeds FOLDER makes FOLDER/READER/* from the repository's own files and
// by the project's own writers.
#include <cstdio>
#include <exception>
#include <fstream>

#include "imgcap/data/feature_cache.h"
#include "imgcap/data/image.h"
#include "imgcap/data/transform.h"
#include "imgcap/models/decoder.h"
#include "imgcap/training/checkpoint.h"
#include "imgcap/training/trainer.h"
#include "tensor/io/events.h"
#include "tensor/io/npy.h"
#include "tensor/io/pickle.h"
#include "tensor/io/safetensors.h"
#include "tensor/io/tfrecord.h"
#include "tensor/io/zip.h"

namespace fs = std::filesystem;
using tensor::DType;
using tensor::Tensor;

namespace {

fs::path root;

fs::path place(const std::string& reader, const std::string& name) {
  fs::create_directories(root / reader);
  return root / reader / name;
}

void put(const std::string& reader, const std::string& name, std::string_view bytes) {
  std::ofstream out(place(reader, name), std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

std::string read(const fs::path& file) {
  const std::vector<uint8_t> bytes = imgcap::read_file_bytes(file, int64_t{1} << 24);
  return {bytes.begin(), bytes.end()};
}

void tensors() {
  const Tensor matrix = Tensor::arange(6).to(DType::f32).reshape({2, 3});
  for (const DType dtype : {DType::f32, DType::f16, DType::i64, DType::boolean, DType::u8})
    tensor::io::write_npy(place("npy", std::string(tensor::name_of(dtype)) + ".npy"),
                          dtype == DType::boolean ? Tensor::zeros({2}, dtype) : matrix.to(dtype));
  tensor::io::write_npy(place("npy", "scalar.npy"), Tensor::scalar(1, DType::f64));
  tensor::io::write_safetensors(
      place("safetensors", "small.safetensors"),
      {{"w", matrix}, {"n", Tensor::arange(2)}, {"b", Tensor::zeros({3}, DType::boolean)}}, {{"k", "v"}});
  tensor::io::write_safetensors(place("safetensors", "empty.safetensors"), {});
  tensor::io::write_safetensors(place("safetensors", "shapes.safetensors"),
                                {{"0", Tensor::scalar(1)}, {"none", Tensor::zeros({0, 3})}});
}

void golden(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".pth" || entry.file_size() > 8192) continue;
    const std::string name = entry.path().filename().string(), bytes = read(entry.path());
    put("pth", name, bytes);
    put("zip", name, bytes);
    const std::span archive(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size());
    if (bytes.starts_with('\x80')) {  // of before PyTorch 1.6: pickles one behind the other
      std::span<const std::byte> rest = archive;
      for (int i = 0; i < 5; ++i) {
        const std::span<const std::byte> before = rest;
        tensor::io::read_next_pickle(rest, name);
        put("pickle", name + std::to_string(i) + ".pkl",
            {reinterpret_cast<const char*>(before.data()), before.size() - rest.size()});
      }
      continue;
    }
    try {
      for (const auto& [key, zipped] : tensor::io::read_zip_directory(archive, name)) {
        if (!key.ends_with("data.pkl")) continue;
        const auto content = tensor::io::zip_content(archive, name, key, zipped);
        put("pickle", name + ".pkl", {reinterpret_cast<const char*>(content.data()), content.size()});
      }
    } catch (const tensor::Error&) {  // some of them are no archives, on purpose
    }
  }
  for (const char* pictures : {"images.safetensors", "pictures.safetensors", "formats.safetensors"})
    for (const auto& [name, t] : tensor::io::read_safetensors(folder / pictures).tensors)
      if (name.starts_with("file/"))
        put("image", name.substr(5),
            {reinterpret_cast<const char*>(t.raw()), static_cast<size_t>(t.bytes())});
  for (const std::string name : {"spacy_lines", "ptb_words"}) {
    const std::string lines = read(folder / (name + ".jsonl")).substr(0, 20000);
    for (size_t at = 0, i = 0; at < lines.size() && i < 40; ++i) {
      const size_t end = std::min(lines.find('\n', at), lines.size());
      put("text", name + std::to_string(i), std::string_view(lines).substr(at, end - at));
      at = end + 1;
    }
  }
}

void captions(const fs::path& photos) {
  const std::string file = read(photos / "captions.csv").substr(0, 1500);
  put("captions", "comma.csv", file.substr(0, file.rfind('\n') + 1));
  put("captions", "results.csv",
      "image_name| comment_number| comment\n1.jpg| 0| A man .\n1.jpg| 1| Two \"men\" .\n2.jpg\n");
  put("captions", "quoted.csv", "image,caption\n1.jpg,\"a \"\"dog\"\",\nand a cat\"\n2.jpg,plain\n");
  put("captions", "list.txt", read(photos / "test.txt"));
  put("captions", "semicolon.csv", "File Name;Split;Text\r\na.jpg;train;\"A ; B\"\r\n");
  put("captions", "tab.tsv", "image\tcaption\rb.jpg\tA man .\r");
  put("captions", "token.txt", "a.jpg#0\tA man .\na.jpg#1\tTwo men .\n");
  put("captions", "utf16.csv", std::string_view("\xFF\xFEi\0m\0a\0g\0e\0,\0t\0e\0x\0t\0\n\0a\0,\0b\0", 30));
  put("captions", "list.csv", "filename,raw\na.jpg,\"[\"\"One\"\", \"\"Two\"\"]\"\n");
  const std::string lines =
      "{\"image\":\"a.jpg\",\"caption\":\"A man\",\"score\":NaN}\n{\"image\":\"b.jpg\",\"error\":\"cut\"}\n"
      "{\"file_name\":\"c.jpg\",\"captions\":[\"A\",\"B\"],\"split\":\"val\"}\n";
  const std::string karpathy =
      R"({"images":[{"filepath":"v","filename":"a.jpg","cocoid":1,"split":"test","sentences":[{"raw":"A.","tokens":["a"]}]}]})";
  const std::string coco =
      R"({"images":[{"id":1,"file_name":"1.jpg"}],"annotations":[{"image_id":1,"caption":"A man.","id":7}]})";
  const std::string results = R"([{"image_id":1,"caption":"a man"},{"image_id":"x","caption":"a \u00e9"}])";
  for (const char* reader : {"captions", "captions_json"}) {
    put(reader, "coco.json", coco);
    put(reader, "results.json", results);
    put(reader, "lines.jsonl", lines);
    put(reader, "karpathy.json", karpathy);
    put(reader, "eval.json", "{\"captions\":" + results + ",\"BLEU-4\":1.5}");
  }
  put("vocabulary", "languages.jsonl",
      "\"<unk>\"\n\"<pad>\"\n\"<sos>\"\n\"<eos>\"\n\"<en>\"\n\" a\"\n\"<ar>\"\n\" a\"\n");
  put("vocabulary", "small.jsonl",
      "\"<unk>\"\n\"<pad>\"\n\"<sos>\"\n\"<eos>\"\n\" man\"\n\" \\u00e9\"\n\"  \"\n\"a\"\n");
}

// A checkpoint with a decoder that is as small as decoders can be.
void models() {
  imgcap::Checkpoint checkpoint;
  checkpoint.vocabulary = {"<unk>", "<pad>", "<sos>", "<eos>", " man"};
  checkpoint.decoder.vocabulary = 5;
  checkpoint.decoder.features = checkpoint.decoder.embedding = checkpoint.decoder.hidden =
      checkpoint.decoder.attention = 2;
  checkpoint.encoder = "none";
  checkpoint.encoder_key = "key";
  checkpoint.notes = {{"epoch", "1"}};
  checkpoint.confidence[""] = imgcap::Confidence{
      {{-1, -3, 9}, {1, 2, 1.5}, {0.5, 0.25, -0.125}, 0}, {{3}, {2}, {0.5}, 0.1}, 0.4, "val.txt", 10, 5};
  checkpoint.weights = imgcap::make_decoder(checkpoint.decoder)->state_dict();
  imgcap::save_checkpoint(place("checkpoint", "f32.safetensors"), checkpoint);
  imgcap::save_checkpoint(place("checkpoint", "f16.safetensors"), checkpoint, imgcap::WeightFormat::f16);
  imgcap::Checkpoint languages = checkpoint;
  languages.vocabulary = {"<unk>", "<pad>", "<sos>", "<eos>", "<ar>"};
  languages.language = "ar";
  imgcap::save_checkpoint(place("checkpoint", "languages.safetensors"), languages);
  checkpoint.training = "{\"step\":1}";
  checkpoint.training_tensors = {{"average", Tensor::zeros({2})}};
  checkpoint.encoder_weights = {{"conv.weight", Tensor::zeros({2, 2})}};
  checkpoint.weights = {{"fc.weight#rows", Tensor::zeros({2, 3}, DType::u8)},
                        {"fc.weight#scales", Tensor::zeros({2}, DType::f16)}};
  imgcap::save_checkpoint(place("checkpoint", "rows.safetensors"), checkpoint);
  const imgcap::FeatureCache cache({"1.jpg", "2.jpg"}, Tensor::zeros({2, 2, 3}, DType::f16), "key",
                                   {{"cut.jpg", 17}});
  cache.save(place("feature_cache", "cache.safetensors"));
  put("settings", "decoder.json", to_json(checkpoint.decoder));
  put("settings", "preprocessing.json", to_json(checkpoint.preprocessing));
  put("settings", "training.json", to_json(imgcap::TrainOptions()));
  put("training_log", "log.jsonl",
      "{\"step\":1,\"loss\":7.5,\"lr\":0.1}\n{\"step\":2,\"loss\":7.25}\n"
      "{\"validation\":true,\"step\":2,\"loss\":7.1,\"BLEU-4\":0.5,\"CIDEr\":1.5,\"best\":true}\n");
}

// An event file and its messages; a training log may be one, too.
void events() {
  tensor::io::EventWriter writer(root / "made");
  writer.add(1, {{"Train/Loss", 7.5f}, {"Train/Gradient Norm", 0.5f}});
  writer.add(2, {{"Train/Loss", 7.25f}});
  writer.add(2, {{"Validation/Loss", 7.1f}, {"Validation/BLEU", 0.5f}, {"Validation/CIDEr", 1.5f}});
  const std::string file = read(writer.file());
  fs::remove_all(root / "made");
  put("events", "run", file);
  put("training_log", "run.tfevents", file);
  tensor::io::TfrecordReader records(file, "run");
  for (int i = 0; const auto record = records.next(); ++i)
    for (const char* reader : {"events", "protobuf"}) put(reader, "event" + std::to_string(i), *record);
}

// Two members, a long name (GNU), a pax header: as tar writes them.
void archives() {
  std::string all;
  const auto member = [&](const std::string& name, char type, const std::string& content,
                          const char* magic =
                              "ustar\0"
                              "00") {
    std::string block(512, '\0');
    block.replace(0, name.size(), name);
    block.replace(100, 7, "0000644");
    char size[13];
    std::snprintf(size, sizeof size, "%011zo", content.size());
    block.replace(124, 11, size);
    block.replace(148, 8, "        ");
    block[156] = type;
    block.replace(257, 8, std::string_view(magic, 8));
    unsigned sum = 0;
    for (const char c : block) sum += static_cast<unsigned char>(c);
    std::snprintf(size, sizeof size, "%06o", sum);
    block.replace(148, 7, std::string_view(size, 7));
    all += block + content + std::string((512 - content.size() % 512) % 512, '\0');
  };
  const std::string end(1024, '\0');
  member("a/1.jpg", '0', "content");
  put("tar", "one.tar", all + end);
  member("a", '5', "");
  member("././@LongLink", 'L', std::string(120, 'n') + ".jpg", "ustar  \0");
  member("short", '0', std::string(600, 'x'), "ustar  \0");
  put("tar", "gnu.tar", all + end);
  all.clear();
  member("PaxHeaders/2", 'x', "18 path=b/2.jpg \n10 size=3\n");
  member("2.jpg", '0', "abc");
  put("tar", "pax.tar", all + end);
}

// Requests of `imgcap serve`: a Content-Type and a form, a query, options.
void requests() {
  const std::string type = "multipart/form-data; boundary=";
  put("form", "browser",
      type +
          "----WebKitFormBoundaryA1\n------WebKitFormBoundaryA1\r\nContent-Disposition: form-data; name=\"photo\"; "
          "filename=\"a%22b.jpg\"\r\nContent-Type: image/jpeg\r\n\r\nbytes\r\n------WebKitFormBoundaryA1\r\n"
          "Content-Disposition: form-data; name=\"options\"\r\n\r\n{}\r\n------WebKitFormBoundaryA1--\r\n");
  put("form", "curl",
      type +
          "\"x\"; charset=utf-8\nbefore\r\n--x \r\ncontent-disposition: form-data; name=\"a\\\"b\"\r\n\r\n\r\n--x--");
  put("form", "no_head", type + "x\n--x\r\n\r\nbytes\r\n--x--\r\n");
  put("query", "all",
      "beam=3&nbest=2&max_words=20&length_exponent=0.7&no_repeat_ngram=2&min_words=3&sample=0&temperature=1.5&"
      "top_k=40&top_p=0.9&seed=18446744073709551615&attention&preview=true");
  put("query", "texts", "model=all&language=ar&prefix=a+man&suppress=%22caf%C3%A9%22&suppress=%d8%a7&&");
  put("query", "wrong", "beam=0x3&temperature=nan&no=1&%");
  put("options", "all.json",
      R"({"beam":3,"nbest":2,"max_words":20,"length_exponent":0.7,"no_repeat_ngram":2,"min_words":3,"sample":false})");
  put("options", "drawn.json",
      R"({"sample":true,"temperature":1.5,"top_k":40,"top_p":0.9,"seed":18446744073709551615,"nbest":20})");
  put("options", "texts.json",
      R"({"model":"all","language":"ar","prefix":"a man","suppress":["caf\u00e9",""],"attention":true,"preview":1})");
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return std::fprintf(stderr, "usage: seeds FOLDER\n"), 2;
  root = arguments[1];
  const fs::path source = IMGCAP_SOURCE_DIR;
  try {
    tensors();
    golden(source / "tests/golden");
    captions(source / "assets/photos");
    models();
    events();
    archives();
    requests();
  } catch (const std::exception& error) {
    return std::fprintf(stderr, "seeds: %s\n", error.what()), 1;
  }
}
