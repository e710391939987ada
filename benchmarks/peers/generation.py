"""What decoding's peers share: prompts as transformers takes them, and the call that is timed."""
import torch

NEW_TOKENS = 32


def left_padded(prompts, filler):
    longest = max(map(len, prompts))
    ids = torch.tensor([[filler] * (longest - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    return ids, mask


def generate(model, ids, mask, filler):
    """Greedily, and never shorter than NEW_TOKENS."""
    with torch.inference_mode():
        made = model.generate(input_ids=ids, attention_mask=mask, do_sample=False, min_new_tokens=NEW_TOKENS, max_new_tokens=NEW_TOKENS, pad_token_id=filler)
    assert made.shape[1] == ids.shape[1] + NEW_TOKENS
