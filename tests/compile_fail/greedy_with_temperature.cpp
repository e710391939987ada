// expect: terse: Greedy takes the likeliest token: Temperature, TopK, TopP, MinP and Typical don't change it
#include <terse/decode/strategies.hpp>

terse::decode::Strategy strategy = terse::decode::Greedy{terse::decode::Temperature{0.7f}};
