#pragma once
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include <nlohmann/json.hpp>

namespace terse::train {

/// Ends a run after `patience` evaluations in a row without a better one; higher is better (give a loss with its sign changed).
struct EarlyStop {
  std::string metric{};  ///< what the values are; for whoever saves and shows them
  int patience = 0;  ///< 0: never
  double best = -std::numeric_limits<double>::infinity();
  int evaluations_since = 0;

  /// Takes the newest value; true when it is enough.
  bool is_enough(double value) {
    evaluations_since = value > best ? 0 : evaluations_since + 1;
    if (value > best) best = value;
    return patience > 0 && evaluations_since >= patience;
  }
};

/// As state.json has it: metric, patience, and best, null where there is none yet.
inline nlohmann::ordered_json to_json(const EarlyStop& stop) {
  nlohmann::ordered_json json{{"metric", stop.metric}, {"patience", stop.patience}, {"best", nullptr}, {"evaluations_since", stop.evaluations_since}};
  if (std::isfinite(stop.best)) json["best"] = stop.best;
  return json;
}

/// What to_json wrote, into `stop`; false if it is none that a run can have.
inline bool read_json(const nlohmann::json& json, EarlyStop& stop) {
  const auto count = [&](const char* key, int& value) {
    if (!json.contains(key) || !json[key].is_number_unsigned() || json[key].get<std::uint64_t>() > 1'000'000) return false;
    value = json[key].get<int>();
    return true;
  };
  if (!json.is_object() || !json.contains("metric") || !json["metric"].is_string() || !json.contains("best") || !(json["best"].is_null() || json["best"].is_number())) return false;
  stop.metric = json["metric"].get<std::string>();
  if (json["best"].is_number()) stop.best = json["best"].get<double>();
  return count("patience", stop.patience) && count("evaluations_since", stop.evaluations_since);
}

}  // namespace terse::train
