#include "usage.hpp"

#include <algorithm>
#include <cerrno>  // program_invocation_short_name
#include <set>

#include <CLI/CLI.hpp>

#include <terse/core/error.hpp>
#include <terse/core/json.hpp>

namespace summarize {

using terse::concat, terse::fail, terse::Failure, terse::in_quotes;

namespace {

/// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours (Damerau 1964; Boytsov 2011, section 2.1).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        cost[i][j] = i + j;
        continue;
      }
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

std::string joined(const std::vector<std::string>& names) {
  std::string all;
  for (std::size_t i = 0; i < names.size(); ++i) all += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + names[i];
  return all;
}

std::string advice(const std::string& meant, const std::string& help) {
  return meant.empty() ? "; try " + help : "; did you mean " + meant + "? " + help + " lists all";
}

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const auto* option : command.get_options())
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

const CLI::Option* find_option(const CLI::App& command, const std::string& name) {
  for (const auto* option : command.get_options())
    if (name.starts_with("--") && option->check_lname(name.substr(2))) return option;
  return nullptr;
}

std::vector<const CLI::App*> commands_of(const CLI::App& app) { return app.get_subcommands([](const CLI::App*) { return true; }); }

const CLI::App& find_command(const CLI::App& app, const std::string& word) {
  std::vector<std::string> names;
  for (const auto* command : commands_of(app)) {
    if (command->get_name() == word) return *command;
    names.push_back(command->get_name());
  }
  if (word.starts_with('-'))
    fail(Failure::usage, in_quotes(word), " stands before a command; write ", program_name(), " COMMAND --option; try ", program_name(), " --help");
  fail(Failure::usage, "no command ", in_quotes(word), advice(nearest(word, names), program_name() + " --help"));
}

[[noreturn]] void refuse_option(const CLI::App& app, const CLI::App& command, const std::string& name) {
  std::vector<std::string> owners;
  for (const auto* other : commands_of(app))
    if (find_option(*other, name) != nullptr) owners.push_back(other->get_name());
  const std::string help = concat(program_name(), " ", command.get_name(), " --help");
  if (!owners.empty()) fail(Failure::usage, name, " isn't an option of ", command.get_name(), " but of ", joined(owners), advice("", help));
  fail(Failure::usage, command.get_name(), " has no option ", name, advice(nearest(name, option_names(command)), help));
}

}  // namespace

std::string program_name() { return *program_invocation_short_name == 0 ? "terse-summarize" : program_invocation_short_name; }

std::string nearest(std::string_view word, const std::vector<std::string>& names) {
  std::string best;
  std::size_t least = 2 + word.size() / 6;  // so many mistakes are too many
  for (const auto& name : names) {
    const bool is_start = word.size() > 3 && name.starts_with(word);
    const std::size_t distance = is_start ? 1 : edit_distance(word, name);
    if (distance < least) least = distance, best = name;
  }
  return best;
}

void require_known_words(const CLI::App& app, std::span<const char* const> words) {
  const auto is_help = [](std::string_view word) { return word == "-h" || word == "--help"; };
  if (words.empty() || is_help(words[0])) return;
  const CLI::App& command = find_command(app, words[0]);
  std::set<std::string> given;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string word = words[i];
    if (is_help(word)) return;
    if (!word.starts_with('-')) fail(Failure::usage, in_quotes(word), " belongs to no option; try ", program_name(), " ", command.get_name(), " --help");
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const CLI::Option* option = find_option(command, name);
    if (option == nullptr && find_option(command, "-" + name) != nullptr) fail(Failure::usage, name, " is written with two dashes: -", name);
    if (option == nullptr) refuse_option(app, command, name);
    if (!given.insert(name).second) fail(Failure::usage, name, " is given twice; leave one out");
    if (option->get_items_expected_min() == 0) continue;
    if (equals == std::string::npos && ++i == words.size()) fail(Failure::usage, name, " lacks its value; it comes behind it");
    const std::string value = equals == std::string::npos ? words[i] : word.substr(equals + 1);
    const bool any_text = name == "--prompt";
    if (!any_text && value.empty()) fail(Failure::usage, name, " lacks its value: it is empty");
    if (!any_text && find_option(command, value) != nullptr) fail(Failure::usage, name, " lacks its value: ", value, " follows");
  }
}

}  // namespace summarize
