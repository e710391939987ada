#pragma once
/// An environment variable without which a program of tests can't run: it then says skipped, and ctest too.
struct Needs {
  const char* variable;  ///< nullptr: nothing is needed
  const char* what;      ///< what the variable names
};
extern const Needs needs;
