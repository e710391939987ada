// expect: terse: the parts of a decoding strategy stand in the order they act in, each once
#include <terse/decode/strategies.hpp>

terse::decode::Strategy strategy = terse::decode::Greedy{terse::decode::MaxNew{60}, terse::decode::MaxNew{80}};
