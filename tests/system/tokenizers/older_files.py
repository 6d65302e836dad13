"""Folders with the files of older tokenizers, trained on the spot, and what transformers makes of them.

FOLDERS: name -> function (lines, folder) that writes the files and returns transformers' tokenizer and which strings
it is compared on, or None where transformers is not installed.
"""
import json
import random

from families import FAMILIES, sentencepiece_model, vocabulary_of

try:
    import sentencepiece
    import transformers
    transformers.utils.logging.set_verbosity_error()
except ImportError:
    transformers = None


def anything(string):
    return True


def write(folder, **files):
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))


def vocab_and_merges(family, lines, folder):
    made = FAMILIES[family](lines)
    write(folder, vocab=made.get_vocab(with_added_tokens=True))  # <mask> too
    merges = vocabulary_of(made)[1]
    text = "#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in merges)
    (folder / "merges.txt").write_text(text, encoding="utf-8")


def gpt2_files(lines, folder):
    vocab_and_merges("gpt2", lines, folder)
    return transformers and (transformers.GPT2Tokenizer.from_pretrained(folder), anything)


def opt_files(lines, folder):
    """GPT-2's files with other special tokens, one of them before each text, and one that was added later."""
    vocab_and_merges("opt", lines, folder)
    size = len(json.loads((folder / "vocab.json").read_text()))
    end = {"content": "</s>", "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    write(folder, special_tokens_map={"bos_token": end, "eos_token": end, "unk_token": end, "pad_token": "<pad>"},
          added_tokens={"Monday": size}, tokenizer_config={
              "tokenizer_class": "GPT2Tokenizer", "add_bos_token": True, "bos_token": "</s>", "eos_token": "</s>",
              "unk_token": "</s>", "pad_token": "<pad>"})
    return transformers and (transformers.AutoTokenizer.from_pretrained(folder), anything)


def roberta_files(lines, folder):
    vocab_and_merges("roberta", lines, folder)
    mask = {"content": "<mask>", "lstrip": True, "normalized": False, "rstrip": False, "single_word": False}
    write(folder, special_tokens_map={"mask_token": mask})
    return transformers and (transformers.RobertaTokenizer.from_pretrained(folder), anything)


def bart_files(lines, folder):
    vocab_and_merges("roberta", lines, folder)
    write(folder, tokenizer_config={"tokenizer_class": "BartTokenizer", "add_prefix_space": True, "mask_token": {
        "__type": "AddedToken", "content": "<mask>", "lstrip": True, "normalized": True, "rstrip": False, "single_word": False}})
    return transformers and (transformers.AutoTokenizer.from_pretrained(folder), anything)


def marian(lines, folder):
    """Pieces of two languages in one vocabulary, some of the source's without an id; codes begin some texts."""
    generator = random.Random(5)
    half = len(lines) // 2
    names = set()
    for name, part in (("source", lines[:half]), ("target", lines[half:])):
        model = sentencepiece_model(part, "unigram", 2000, bos_id=-1)
        (folder / f"{name}.spm").write_bytes(model)
        if transformers:
            pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
            names.update(pieces.id_to_piece(i) for i in range(pieces.get_piece_size()))
    names = [name for name in sorted(names) if generator.random() < 0.97 and name not in ("</s>", "<unk>", "<pad>")]
    generator.shuffle(names)
    names = ["</s>", "<unk>", *names, ">>fr<<", ">>de_AT<<", "<pad>"]
    write(folder, vocab={name: i for i, name in enumerate(names)})
    # A code inside a text, and pieces of control that a text spells out, are read otherwise on purpose.
    return transformers and (transformers.MarianTokenizer.from_pretrained(folder),
                             lambda s: ">>" not in s[1:] and not any(piece in s for piece in ("<s>", "</s>", "<unk>", "\0")))


FOLDERS = {"gpt2_files": gpt2_files, "opt_files": opt_files, "roberta_files": roberta_files, "bart_files": bart_files,
           "marian": marian}
