// Tables of settings: their checks, their sentences and their JSON, on a table of our own.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "imgcap/settings/json.h"
#include "tests/json.h"

using namespace imgcap;
using tensor::ErrorKind;
using tensor::io::Json;
using tests::read_json;

namespace {

enum class Colour { red, dark_blue };
constexpr std::array<const char*, 2> names_of(Colour) { return {"red", "dark-blue"}; }

struct Lamp {
  int64_t watts = 40;
  double height = 0.5;
};

struct Room {
  int64_t doors = 1;
  double width = 3;
  double share = 0;
  double heat = 1;
  bool light = false;
  uint64_t seed = 1;
  Colour colour = Colour::red;
  int64_t windows = 2;
  Lamp lamp;
};

}  // namespace

namespace imgcap {

template <>
inline constexpr auto kSettings<Room> = Table{
    "house",
    {},
    Setting{"doors", "--doors", &Room::doors, at_least(1), "Doors"},
    Setting{"width", "--width", &Room::width, between(0.5, 10), "Width", called("the width")},
    Setting{"share", "--share", &Room::share, share_below_one(), "Share", refused_as("a share of {} is odd")},
    Setting{"heat", "--heat", &Room::heat, positive_up_to(30), "Heat"},
    Setting{"light", "--light", &Room::light, anything(), "Light"},
    Setting{"seed", no_flag, &Room::seed, anything()},
    Setting{"colour", "--colour", &Room::colour, anything(), "red or dark-blue"},
    Setting{"windows", no_flag, &Room::windows, at_least(0), "", refused_as("windows are counted")},
    Part{&Room::lamp, Setting{"watts", no_flag, &Lamp::watts, between(1, 100)},
         Setting{"height", no_flag, &Lamp::height, not_negative()}}};

}  // namespace imgcap

namespace {

std::string refusal(const std::function<void()>& call, ErrorKind kind) {
  try {
    call();
  } catch (const tensor::Error& error) {
    CHECK(error.kind() == kind);
    return error.what();
  }
  return "";
}

std::string with(const std::function<void(Room&)>& change) {
  Room room;
  change(room);
  return refusal([&] { check_bounds(room); }, ErrorKind::argument);
}

std::string of_json(const std::string& text, ErrorKind kind = ErrorKind::data) {
  return refusal([&] { settings_from_json<Room>(read_json(text)); }, kind);
}

}  // namespace

TEST_CASE("settings are visited in the table's order, a part's among them, and can be changed") {
  Room room;
  std::string names;
  for_each_setting(room, [&]<class T>(const Row& row, T& value) {
    names += std::string(row.name) + " ";
    if constexpr (std::same_as<T, int64_t>) value += 2;
  });
  CHECK(names == "doors width share heat light seed colour windows watts height ");
  CHECK(room.doors == 3);
  CHECK(room.lamp.watts == 42);
}

TEST_CASE("values out of their bounds are refused by their name, with what they have to be") {
  CHECK(with([](Room&) {}) == "");
  CHECK(with([](Room& r) { r.doors = INT64_MAX; }) == "");
  CHECK(with([](Room& r) { r.doors = 0; }) == "house: doors is 0; it has to be at least 1");
  CHECK(with([](Room& r) { r.windows = -1; }) == "house: windows are counted");
  for (const double good : {0.5, 10.0}) CHECK(with([&](Room& r) { r.width = good; }) == "");
  const std::string width = "; it has to be in [0.5, 10]";
  CHECK(with([](Room& r) { r.width = 0.25; }) == "house: the width is 0.25" + width);
  CHECK(with([](Room& r) { r.width = 11; }) == "house: the width is 11" + width);
  CHECK(with([](Room& r) { r.width = NAN; }) == "house: the width is nan" + width);
  CHECK(with([](Room& r) { r.share = std::nextafter(1.0, 0.0); }) == "");
  CHECK(with([](Room& r) { r.share = 1; }) == "house: a share of 1 is odd");
  CHECK(with([](Room& r) { r.heat = 30; }) == "");
  CHECK(with([](Room& r) { r.heat = std::nextafter(0.0, 1.0); }) == "");
  CHECK(with([](Room& r) { r.heat = 0; }) == "house: heat is 0; it has to be over 0 and at most 30");
  CHECK(with([](Room& r) { r.heat = 31; }) == "house: heat is 31; it has to be over 0 and at most 30");
  // A part's, too, which begin as the whole's do.
  CHECK(with([](Room& r) { r.lamp.watts = 100; }) == "");
  CHECK(with([](Room& r) { r.lamp.watts = 101; }) == "house: watts is 101; it has to be 1 to 100");
  for (const double bad : {-1.0, static_cast<double>(INFINITY), static_cast<double>(NAN)})
    CHECK(with([&](Room& r) {
            r.lamp.height = bad;
          }).ends_with("; it has to be a number that is not negative"));
}

TEST_CASE("settings come and go by their names in JSON") {
  CHECK(
      settings_to_json(Room{}).dump() ==
      R"({"doors":1,"width":3.0,"share":0.0,"heat":1.0,"light":false,"seed":1,"colour":"red","windows":2,"watts":40,)"
      R"("height":0.5})");
  const std::string text =
      R"({"doors":2,"width":4.0,"share":0.25,"heat":5.0,"light":true,"seed":18446744073709551615,)"
      R"("colour":"dark-blue","windows":3,"watts":60,"height":1.5})";
  CHECK(settings_to_json(settings_from_json<Room>(read_json(text))).dump() == text);
  CHECK(settings_from_json<Room>(read_json("{}")).doors == 1);
  CHECK(of_json("[1]") == "house: the settings are not a JSON object");
  CHECK(of_json(R"({"doors":1,"door":1})") ==
        R"(house: a setting that this version does not know in {"doors":1,"door":1})");
  for (const char* bad : {R"({"doors":1.5})", R"({"doors":"1"})", R"({"doors":null})"})
    CHECK(of_json(bad) == "house: setting 'doors' has the wrong type");
  CHECK(of_json(R"({"colour":1})") == "house: setting 'colour' has the wrong type");
  CHECK(of_json(R"({"light":1})") == "house: setting 'light' has the wrong type");
  CHECK(of_json(R"({"colour":"green"})", ErrorKind::argument) ==
        "house: colour 'green' is none of red, dark-blue");
}

TEST_CASE("an enum's values have their names, and no other text is one") {
  CHECK(to_string(Colour::dark_blue) == "dark-blue");
  CHECK(all_names<Colour>() == std::vector<std::string>{"red", "dark-blue"});
  CHECK(value_named<Colour>("red") == Colour::red);
  CHECK(value_named<Colour>("dark-blue") == Colour::dark_blue);
  for (const char* bad : {"", "Red", "dark_blue", "red "}) CHECK_FALSE(value_named<Colour>(bad).has_value());
}
