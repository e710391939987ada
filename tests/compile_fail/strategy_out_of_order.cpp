// expect: terse: the parts of a decoding strategy stand in the order they act in
// expect: TopP
#include <terse/decode/strategies.hpp>

terse::decode::Strategy strategy = terse::decode::Sample{terse::decode::TopP{0.9f}, terse::decode::TopK{50}};
