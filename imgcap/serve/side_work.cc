#include "imgcap/serve/side_work.h"

#include "imgcap/serve/answers.h"
#include "tensor/error.h"

namespace imgcap::serve {
namespace {

HttpResponse answer_of(const std::function<HttpResponse(const Exchange&)>& answer, const Exchange& exchange) {
  try {
    return answer(exchange);
  } catch (const Unprocessable& error) {
    return error_answer(422, error.text);
  } catch (const tensor::Error& error) {
    return error_answer(error);
  } catch (const std::exception&) {
    return error_answer(500, "the server failed");
  }
}

}  // namespace

void SideWork::add(std::shared_ptr<Exchange> exchange, std::function<HttpResponse(const Exchange&)> answer) {
  if (waiting_ >= most_) return exchange->respond(busy_answer());
  ++waiting_;
  workers_.add([this, exchange = std::move(exchange), answer = std::move(answer)] {
    if (!exchange->over()) exchange->respond(answer_of(answer, *exchange));
    --waiting_;
  });
}

}  // namespace imgcap::serve
