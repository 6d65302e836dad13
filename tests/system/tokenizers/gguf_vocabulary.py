"""The byte-level BPE tokenizer inside a GGUF file, built with the Hugging Face tokenizers library."""
import struct

from tokenizers import AddedToken, Tokenizer, decoders, models

import families

NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT, LIST, CONTROL = 8, 9, 3


def metadata(path):
    with open(path, "rb") as file:
        def number(kind):
            return struct.unpack("<" + kind, file.read(struct.calcsize("<" + kind)))[0]

        def value(kind):
            if kind == TEXT:
                return file.read(number("Q")).decode(errors="replace")
            if kind == LIST:
                kind = number("I")
                return [value(kind) for _ in range(number("Q"))]
            return number(NUMBERS[kind])

        file.seek(16)
        pairs = {}
        for _ in range(number("Q")):
            key = value(TEXT)
            pairs[key] = value(number("I"))
        return pairs


def tokenizer_of(path):
    """A vocabulary whose words are cut as SmolLM cuts them."""
    pairs = metadata(path)
    tokens = pairs["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in pairs["tokenizer.ggml.merges"]]
    made = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, merges))
    made.pre_tokenizer = families.smollm_words()
    made.decoder = decoders.ByteLevel()
    kinds = pairs["tokenizer.ggml.token_type"]
    made.add_special_tokens([AddedToken(token, special=True, normalized=False)
                             for token, kind in zip(tokens, kinds) if kind == CONTROL])
    return made
