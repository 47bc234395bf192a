#include "imgcap/serve/upload.h"

#include "imgcap/serve/form.h"
#include "tensor/error.h"
#include "tensor/io/text.h"

namespace imgcap::serve {
namespace {

using tensor::check;
using tensor::ErrorKind;

constexpr const char* kForm = "multipart/form-data";
constexpr size_t kMostOptions = 64 << 10;  // bytes: parsed, JSON takes many times its size

std::string name_or(const std::string& name, const char* other) { return name.empty() ? other : name; }

void add_part(UploadForm& upload, const FormPart& part, bool& has_options) {
  if (part.name == "options" && !part.file_name) {
    check(!has_options, ErrorKind::data, "options: they are there twice");
    check(part.bytes.size() <= kMostOptions, ErrorKind::argument, "options: they have over {} KiB",
          kMostOptions >> 10);
    has_options = true;
    upload.options = tensor::io::Json::parse(part.bytes, "options");
    return;
  }
  check(part.file_name.has_value() || part.name == "photo", ErrorKind::data,
        "form: the part {} is neither a photo nor \"options\"", tensor::io::in_quotes(part.name));
  upload.photos.push_back({name_or(part.file_name.value_or(""), "photo"), part.bytes});
}

}  // namespace

bool takes_photos(std::string_view content_type) {
  try {
    const std::string type = parse_media_type(content_type).type;
    return type == kForm || type == "application/octet-stream" || type.starts_with("image/");
  } catch (const tensor::Error&) {
    return false;
  }
}

Upload upload_of(const HttpRequest& request, int64_t most) {
  UploadForm form = upload_form_of(request, most);
  return {std::move(form.photos), wish_of(form.options)};
}

UploadForm upload_form_of(const HttpRequest& request, int64_t most) {
  UploadForm upload;
  auto query = parse_query(request.query());
  std::string name;
  std::erase_if(query, [&](const auto& each) {
    if (each.first != "name") return false;
    name = each.second;
    return true;
  });
  const MediaType type = parse_media_type(request.field("content-type"));
  bool has_options = !query.empty();
  upload.options = options_of(query);
  if (type.type != kForm) {
    check(!request.body.empty(), ErrorKind::data, "there is no photo in the request");
    upload.photos.push_back({name_or(name, "photo"), request.body});
    return upload;
  }
  for (const FormPart& part : parse_multipart(request.body, type.parameter("boundary").value_or("")))
    add_part(upload, part, has_options);
  check(!upload.photos.empty(), ErrorKind::data, "there is no photo in the form");
  check(static_cast<int64_t>(upload.photos.size()) <= most, ErrorKind::argument,
        "there are {} photos; a request may have {}", upload.photos.size(), most);
  return upload;
}

}  // namespace imgcap::serve
