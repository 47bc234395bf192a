// The page's parts: not for other rooms.
#pragma once

#include <string>

#include "imgcap/report/report.h"

namespace imgcap::sections {

const char* style();

bool has_attention(const Report& report);  // whether a caption that is shown has maps

bool has_scores(const Report& report);
int64_t captioned(const Report& report);  // photos that the models captioned

std::string scores(const Report& report);
std::string models(const Report& report);
std::string confidence(const Report& report);  // nothing where no model has one
std::string training(const TrainingLog& log, const std::string& file);
std::string photos(const Report& report);

}  // namespace imgcap::sections
