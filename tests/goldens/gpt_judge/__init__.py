"""PyTorch and transformers as the judge of GPT-2; tests/goldens/README.md says what is written where."""
