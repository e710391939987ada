// expect: terse: Contrastive draws nothing: Temperature, TopP, MinP and Typical don't change it
#include <terse/decode/strategies.hpp>

terse::decode::Strategy strategy = terse::decode::Contrastive{terse::decode::Temperature{0.7f}, terse::decode::TopK{4}, terse::decode::Penalty{0.6f}};
