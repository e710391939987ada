// expect: terse: the parts of a decoding strategy stand in the order they act in, each once
// expect: NoRepeatNgram
#include <terse/decode/strategies.hpp>

terse::decode::Strategy strategy = terse::decode::Greedy{terse::decode::NoRepeatNgram{2}, terse::decode::NoRepeatNgram{3}};
