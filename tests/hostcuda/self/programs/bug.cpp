// Makes one mistake, and prints what was found: a program of its own, as sanitizers and the host's wrong accesses end it.
#include <cstdio>
#include <cstdlib>

#include "hostcuda/self/bugs.cuh"

int main(int count, char** words) {
  if (count != 3) return 2;
  hostcuda::set_seed(std::strtoull(words[2], nullptr, 10));
  const std::string verdict = bugs::found(words[1]);
  std::printf("verdict: %s\n", verdict.empty() ? "nothing found" : verdict.c_str());
  return 0;
}
