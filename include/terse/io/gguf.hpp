#pragma once
/// Models and tokenizers in GGUF files, as llama.cpp and its tools have them: read in most formats, written in F32, F16 and Q8_0.

#include <terse/io/gguf/file.hpp>
#include <terse/io/gguf/model.hpp>
#include <terse/io/gguf/tokenizer.hpp>
#include <terse/io/gguf/weights.hpp>
#include <terse/io/gguf/write.hpp>
