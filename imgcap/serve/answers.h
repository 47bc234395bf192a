// Answers as the service gives them.
#pragma once

#include <string>
#include <string_view>

#include "imgcap/serve/http.h"
#include "tensor/error.h"
#include "tensor/io/json.h"

namespace imgcap::serve {

HttpResponse json_answer(const tensor::io::Json& json, int status = 200);
// {"error": text}
HttpResponse error_answer(int status, std::string_view text);
HttpResponse busy_answer();  // 429, to be tried again
// 400 for what the request has wrong, 500 for what is ours; a sentence of ours may name files, so it is not passed on.
HttpResponse error_answer(const tensor::Error& error);

}  // namespace imgcap::serve
