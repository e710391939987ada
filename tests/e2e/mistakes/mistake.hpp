#pragma once
// What the program says to mistakes: one line that names the place and the mend, and an exit code that scripts can read.
#include "small_job.hpp"

struct Mistake {
  Arguments arguments;
  int code;
  std::vector<std::string> words;  ///< that the message must hold
  std::string input = "";
};

/// `result` must be one line on stderr with these words, and this exit code.
inline void check_one_line(const Running::Result& result, int code, const std::vector<std::string>& words) {
  check_error(result, code, words);
  CHECK(result.out.empty());
  CHECK(lines_of(result.err).size() == 1);
}

inline void check(const Mistake& mistake) {
  CAPTURE(mistake.arguments);
  check_one_line(terse_summarize(mistake.arguments, mistake.input), mistake.code, mistake.words);
}

inline std::string write(const SmallJob& job, const std::string& name, const std::string& text) {
  std::ofstream(job.file(name), std::ios::binary) << text;
  return job.file(name);
}
