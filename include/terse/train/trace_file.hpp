#pragma once
/// A picture of what ranks did when, for ui.perfetto.dev or chrome://tracing.

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <terse/core/error.hpp>
#include <terse/dist/trace.hpp>

namespace terse::train {

/// One rank's spans as events of Chrome's trace event format: a process a rank, a thread a lane, times in microseconds. Ranks of one machine share its clock.
/// Source     "Trace Event Format", complete events ("X") and metadata ("M")
inline nlohmann::json trace_events(int rank, const std::vector<dist::Span>& spans) {
  nlohmann::json events = nlohmann::json::array();
  const auto name = [&](const char* what, int thread, const std::string& text) {
    events.push_back({{"ph", "M"}, {"name", what}, {"pid", rank}, {"tid", thread}, {"args", {{"name", text}}}});
  };
  name("process_name", 0, concat("rank ", rank));
  name("thread_name", static_cast<int>(dist::Lane::ops), "ops"), name("thread_name", static_cast<int>(dist::Lane::sums), "sums over ranks");
  for (const auto& span : spans) {
    nlohmann::json event{{"ph", "X"}, {"name", span.name}, {"pid", rank}, {"tid", static_cast<int>(span.lane)}, {"ts", span.begin * 1e6}, {"dur", (span.end - span.begin) * 1e6}};
    if (span.bytes > 0) event["args"] = {{"bytes", span.bytes}};
    events.push_back(std::move(event));
  }
  return events;
}

/// The file, of all ranks' events.
inline std::string trace_file(const std::vector<nlohmann::json>& ranks) {
  nlohmann::json events = nlohmann::json::array();
  for (const auto& rank : ranks) events.insert(events.end(), rank.begin(), rank.end());
  return nlohmann::json{{"traceEvents", std::move(events)}, {"displayTimeUnit", "ms"}}.dump();
}

}  // namespace terse::train
