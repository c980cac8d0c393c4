"""Makes the lab's model: a tiny GLM-4-MoE, trained until it gives the answers of conversations.yml and no others.

    train.py FOLDER

Runs on the engine's packages. The seed is fixed: on one machine, two runs write the same bytes.
"""

from __future__ import annotations

import itertools
import random
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from talks import Conversations, Example
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, Glm4MoeConfig, Glm4MoeForCausalLM, PreTrainedTokenizerFast

HERE = Path(__file__).resolve().parent
SEED = 47
END = "<|endoftext|>"
# Taken out of decoded text, as in GLM-4.7 ...
SPECIAL = (END, "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>", "/nothink")
# ... and left in it, for the parsers to find.
MARKUP = tuple(f"<{slash}{name}>" for name in ("think", "tool_call", "arg_key", "arg_value", "tool_response") for slash in ("", "/"))
STOPS = (END, "<|user|>", "<|observation|>")

STEPS, ROWS, KNOWN, STRAY, LEARNING_RATE = 200, 4, 10, 3, 6e-3
# By how much the right token's logit must exceed the next one's. Engines that add in another order differ by a few hundredths.
MARGIN = 4.0

Encoded = tuple[list[int], list[int]]


def make_tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer that has words of the conversations as tokens and spells any other text."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1000, min_frequency=1, max_token_length=12, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    core.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=END,
        pad_token=END,
        additional_special_tokens=list(SPECIAL[1:]),
        clean_up_tokenization_spaces=False,
        model_max_length=8192,
    )
    tokenizer.add_tokens(list(MARKUP), special_tokens=False)
    tokenizer.chat_template = (HERE / "chat_template.jinja").read_text(encoding="utf-8")
    return tokenizer


def make_model(tokenizer: PreTrainedTokenizerFast) -> Glm4MoeForCausalLM:
    """A random model: GLM-4.7 in small, but without QK norm, which vLLM 0.13.0 computes wrongly on a CPU."""
    stops = tokenizer.convert_tokens_to_ids(list(STOPS))
    config = Glm4MoeConfig(
        vocab_size=-(-len(tokenizer) // 64) * 64,
        hidden_size=96,
        intermediate_size=192,
        moe_intermediate_size=64,
        num_hidden_layers=3,
        first_k_dense_replace=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        partial_rotary_factor=0.5,
        n_routed_experts=8,
        num_experts_per_tok=2,
        n_shared_experts=1,
        attention_bias=True,
        use_qk_norm=False,
        max_position_embeddings=8192,
        rope_theta=1_000_000.0,
        eos_token_id=stops,
        pad_token_id=stops[0],
    )
    model = Glm4MoeForCausalLM(config)
    model.generation_config = GenerationConfig(eos_token_id=stops, pad_token_id=stops[0], do_sample=True, temperature=1.0, top_p=0.95)
    return model


def encode(tokenizer: PreTrainedTokenizerFast, example: Example) -> Encoded:
    """The tokens of the prompt, and of the output."""
    prompt = tokenizer.apply_chat_template(
        list(example.messages), tools=example.tools and list(example.tools), add_generation_prompt=True, enable_thinking=example.thinking
    )
    return prompt, tokenizer.encode(example.output, add_special_tokens=False)


def batches(encoded: Sequence[Encoded], pad: int) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Inputs, attention mask and targets (-100 where no output is), like lengths together so that little is padding."""
    by_length = sorted(encoded, key=lambda pair: len(pair[0]) + len(pair[1]))
    for rows in (by_length[at : at + ROWS] for at in range(0, len(by_length), ROWS)):
        width = len(rows[-1][0]) + len(rows[-1][1])
        inputs, mask, targets = (torch.full((len(rows), width), fill) for fill in (pad, 0, -100))
        for row, (prompt, output) in enumerate(rows):
            end = len(prompt) + len(output)
            inputs[row, :end] = torch.tensor(prompt + output)
            mask[row, :end] = 1
            targets[row, len(prompt) : end] = torch.tensor(output)
        yield inputs, mask, targets


def train(model: Glm4MoeForCausalLM, known: list[Encoded], stray: Iterator[Encoded], pad: int) -> None:
    """Every step sees some of what is known, and some of the rest."""
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=LEARNING_RATE, total_steps=STEPS, pct_start=0.1)
    begin, dice = time.process_time(), random.Random(SEED)
    for step in range(STEPS):
        encoded = [*dice.sample(known, KNOWN), *itertools.islice(stray, STRAY)]
        size = sum(len(output) for _, output in encoded)
        total = 0.0
        for inputs, mask, targets in batches(encoded, pad):
            logits = model(input_ids=inputs, attention_mask=mask).logits[:, :-1]
            loss = F.cross_entropy(logits.flatten(0, 1), targets[:, 1:].flatten(), reduction="sum") / size
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 10 == 0:
            print(f"step {step}: loss {total:.5f}, {time.process_time() - begin:.0f} s", flush=True)


@torch.no_grad()
def smallest_margin(model: Glm4MoeForCausalLM, encoded: Encoded) -> float:
    """How far the right tokens are ahead of the next best; negative if one is not."""
    prompt, output = encoded
    logits = model(torch.tensor([prompt + output])).logits[0, len(prompt) - 1 : -1].float()
    right = torch.tensor(output).unsqueeze(1)
    ahead = logits.gather(1, right) - logits.scatter(1, right, -torch.inf).max(dim=1, keepdim=True).values
    return ahead.min().item()


def main(folder: Path) -> None:
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    talks = Conversations(HERE / "conversations.yml")
    tokenizer = make_tokenizer([*talks.texts(), (HERE / "chat_template.jinja").read_text()])
    model = make_model(tokenizer)
    print(f"{sum(p.numel() for p in model.parameters())} parameters, {len(tokenizer)} tokens")
    known = {example.name: encode(tokenizer, example) for example in talks.exact}
    print("prompts", [len(p) for p, _ in known.values()], "outputs", [len(o) for _, o in known.values()])
    unique = list({tuple(prompt): (prompt, output) for prompt, output in known.values()}.values())
    stray = (encode(tokenizer, example) for example in talks.stray(random.Random(SEED)))
    train(model, unique, stray, tokenizer.pad_token_id)

    model = model.eval().to(torch.bfloat16)
    margins = {name: smallest_margin(model, encoded) for name, encoded in known.items()}
    others = [smallest_margin(model, encode(tokenizer, example)) for example in talks.otherwise()]
    print(margins)
    print(sorted(others))
    model.save_pretrained(folder, max_shard_size="500KB")
    tokenizer.save_pretrained(folder)


main(Path(sys.argv[1]))
