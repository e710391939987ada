#pragma once
// Mistakes of a command line, named before CLI11 sees it: what was meant, and where it belongs.
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace summarize {

/// Errors     Failure::usage: no such command or option (with the likeliest one meant), an option of another command, one that is
///            given twice or lacks its value, a word too many
void require_known_words(const CLI::App& app, std::span<const char* const> words);

/// What this program was started as, without its folder: terse-summarize, or what its user calls it.
std::string program_name();

/// The name that was likely meant, or "" where none is near: a few letters changed, left out, added or swapped.
std::string nearest(std::string_view word, const std::vector<std::string>& names);

}  // namespace summarize
