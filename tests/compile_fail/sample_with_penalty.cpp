// expect: terse: Penalty is a part of Contrastive alone
#include <terse/decode/strategies.hpp>

terse::decode::Strategy strategy = terse::decode::Sample{terse::decode::TopK{4}, terse::decode::Penalty{0.6f}};
