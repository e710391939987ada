#include "journal.hpp"

#include <algorithm>

#include <terse/core/error.hpp>
#include <terse/core/json.hpp>

namespace summarize {

using nlohmann::ordered_json;

namespace {

decode::Generation text_of_line(const ordered_json& line) {
  decode::Generation text{line.at("tokens").get<std::vector<TokenId>>(), line.at("logprob").get<double>(), decode::Stop::cancelled, line.at("score").get<float>()};
  const std::string stop = line.at("stop");
  for (const auto ended : {decode::Stop::end_of_text, decode::Stop::length, decode::Stop::context, decode::Stop::asked})
    if (decode::name_of(ended) == stop) text.stop = ended;
  return text;
}

}  // namespace

std::vector<std::filesystem::path> Journal::files() const {
  std::vector<std::filesystem::path> found;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(folder_.empty() ? "." : folder_, none)) {
    const auto name = entry.path().filename().string();
    if (name.starts_with("unfinished-" + what_ + "-") && name.ends_with(".jsonl")) found.push_back(entry.path());
  }
  std::ranges::sort(found);
  return found;
}

bool Journal::is_of(const ordered_json& made_from) const {
  return std::ranges::all_of(files(), [&](const auto& path) {
    std::ifstream file(path);
    std::string first;
    return std::getline(file, first) && ordered_json::parse(first, nullptr, false) == made_from;
  });
}

std::map<std::size_t, decode::Generation> Journal::read(const ordered_json& made_from) const {
  std::map<std::size_t, decode::Generation> texts;
  for (const auto& path : files()) {
    std::ifstream file(path);
    std::string text;
    for (long number = 1; std::getline(file, text) && !file.eof(); ++number) {  // a line without its end broke off
      const auto line = ordered_json::parse(text, nullptr, false);
      const auto where = concat(path.string(), ":", number, ": ");
      if (number == 1) {
        if (line != made_from) fail(Failure::usage, path.string(), ": these texts were begun from another checkpoint, data or options; give the same, or leave out --resume to begin again");
        continue;
      }
      try {
        texts[line.at("number").get<std::size_t>()] = text_of_line(line);
      } catch (const nlohmann::json::exception&) {
        fail(Failure::bad_input, where, "not a line of a journal; remove the file to begin again");
      }
    }
  }
  return texts;
}

void Journal::begin(int rank, const ordered_json& made_from, bool goes_on) {
  path_ = folder_ / concat("unfinished-", what_, "-", rank, ".jsonl");
  if (goes_on && std::filesystem::exists(path_)) {
    const auto end = [&] {  // of the last whole line
      std::ifstream file(path_);
      std::string text;
      std::uintmax_t bytes = 0;
      while (std::getline(file, text) && !file.eof()) bytes += text.size() + 1;
      return bytes;
    }();
    std::filesystem::resize_file(path_, end);
    file_.open(path_, std::ios::app);
    if (end > 0) return;
  } else {
    file_.open(path_, std::ios::trunc);
  }
  write(made_from);
}

void Journal::add(std::size_t number, const decode::Generation& text) {
  write({{"number", number}, {"tokens", text.ids}, {"logprob", text.logprob}, {"score", text.score}, {"stop", decode::name_of(text.stop)}});
}

void Journal::write(const ordered_json& line) {
  if (!(file_ << line.dump() << std::endl)) fail(Failure::cannot_write, path_.string(), ": cannot be written; is the disk full?");
}

void Journal::remove() {
  file_.close();
  std::error_code ignored;
  for (const auto& path : files()) std::filesystem::remove(path, ignored);
}

}  // namespace summarize
