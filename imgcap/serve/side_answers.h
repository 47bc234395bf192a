// The answers of SideWork. Errors of all: data, argument (what the request has wrong), Unprocessable.
#pragma once

#include "imgcap/serve/service.h"

namespace imgcap::serve {

// POST /api/explain: why a model would say a sentence about a photo (imgcap/explain.h).
HttpResponse explain_answer(const ServiceOptions& options, const Exchange& exchange);

// POST /api/report: the page of imgcap/report of photos, with a model's captions and what people wrote.
HttpResponse report_answer(const ServiceOptions& options, const Exchange& exchange);

// POST /api/score: {"candidates": {"a.jpg": "a dog"}, "references": {"a.jpg": ["a brown dog", ...]}, "language": "en"}
// -> the standard protocol's scores (imgcap/metrics/scores.h), on the words that the language's evaluations use.
HttpResponse score_answer(const Exchange& exchange);

}  // namespace imgcap::serve
