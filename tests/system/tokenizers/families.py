"""Small tokenizers with the pipeline of each model family, trained on the spot."""
import io
import json

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|"
         r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BYTES = pre_tokenizers.ByteLevel.alphabet()


def special(*names, **options):
    return [AddedToken(name, special=True, normalized=False, **options) for name in names]


def bpe(lines, pre_tokenizer, tokens, normalizer=None, size=3000, alphabet=BYTES, **options):
    """A BPE tokenizer; byte-level unless another alphabet is given."""
    tokenizer = Tokenizer(models.BPE(**options))
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=tokens, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def byte_level(**options):
    return pre_tokenizers.ByteLevel(**{"add_prefix_space": False, **options})


def split(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), byte_level(use_regex=False)])


def template(tokenizer, single, pair, *names):
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[(name, tokenizer.token_to_id(name)) for name in names])
    return tokenizer


def gpt2(lines):
    return bpe(lines, byte_level(), special("<|endoftext|>"))


def gpt_neox(lines):
    made = bpe(lines, byte_level(), special("<|endoftext|>", "<|padding|>"), normalizers.NFC())
    made.add_tokens([AddedToken(" " * n, normalized=True) for n in range(24, 1, -1)])
    return made


def roberta(lines):
    made = bpe(lines, byte_level(add_prefix_space=True), special("<s>", "<pad>", "</s>", "<unk>"))
    made.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return made


def opt(lines):
    made = bpe(lines, byte_level(), [AddedToken(n, special=True, normalized=True) for n in ("<s>", "<pad>", "</s>")])
    return template(made, "</s> $A", "</s> $A </s> $B", "</s>")


def llama3(lines):
    made = bpe(lines, split(LLAMA3), special("<|begin_of_text|>", "<|end_of_text|>"), ignore_merges=True)
    return template(made, "<|begin_of_text|> $A", "<|begin_of_text|> $A <|begin_of_text|>:1 $B:1", "<|begin_of_text|>")


def qwen2(lines):
    return bpe(lines, split(QWEN2), special("<|endoftext|>", "<|im_start|>", "<|im_end|>"), normalizers.NFC())


def tekken(lines):
    return bpe(lines, split(GPT4O), special("<s>", "</s>"), ignore_merges=True)


def smollm_words():
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level()])


def smollm(lines):
    return bpe(lines, smollm_words(), special("<|endoftext|>", "<|im_start|>", "<|im_end|>"))


def byte_tokens():
    return [f"<0x{byte:02X}>" for byte in range(256)]


def llama2(lines):
    """Llama 2, Mistral, Mixtral: the whole text is one word; unknown characters fall back to bytes."""
    normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    trained = bpe([line.replace(" ", " \u2581") for line in lines], pre_tokenizers.WhitespaceSplit(),
                  ["<unk>", "<s>", "</s>", *byte_tokens()], normalizers.Prepend("\u2581"), alphabet=[])
    made = Tokenizer(models.BPE(*vocabulary_of(trained), unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.normalizer = normalizer
    made.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                                      decoders.Strip(" ", 1, 0)])
    made.add_special_tokens(special("<unk>", "<s>", "</s>"))
    return template(made, "<s> $A", "<s> $A <s>:1 $B:1", "<s>")


def vocabulary_of(tokenizer):
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


def mistral_metaspace(lines):
    """The same without the old normalizer: Metaspace before the first word only."""
    made = llama2(lines)
    made.normalizer = None
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    return made


def gemma(lines):
    made = llama2(lines)
    made.normalizer = normalizers.Replace(" ", "\u2581")
    made.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    made.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    made.add_tokens([AddedToken("\n" * n, normalized=False) for n in range(2, 6)])
    made.add_tokens([AddedToken("\u2581" * n, normalized=False) for n in range(2, 6)])
    return made


def bert(lines, **options):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(**options)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(lines, trainers.WordPieceTrainer(
        vocab_size=3000, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False))
    tokenizer.decoder = decoders.WordPiece()
    return template(tokenizer, "[CLS]:0 $A:0 [SEP]:0", "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", "[CLS]", "[SEP]")


def distilbert_cased(lines):
    made = bert(lines, lowercase=False)
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return made


def sentencepiece_model(lines, kind, size=2000, **options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=model, model_type=kind,
                                             vocab_size=size, minloglevel=2, character_coverage=0.98, hard_vocab_limit=False, **options)
    return model.getvalue()


def pieces_of(model):
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [(processor.id_to_piece(i), processor.get_score(i)) for i in range(processor.get_piece_size())]


def charsmap_of(model):
    """The precompiled character map: field 2 of field 3 of the model."""
    def fields(data):
        at = 0

        def number():
            nonlocal at
            value = shift = 0
            while True:
                byte = data[at]
                at += 1
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    return value
        while at < len(data):
            key = number()
            size = {0: None, 1: 8, 5: 4}.get(key & 7, -1)
            if size is None:
                yield key >> 3, number()
                continue
            size = number() if size < 0 else size
            yield key >> 3, data[at:at + size]
            at += size
    normalizer = next(value for key, value in fields(model) if key == 3)
    return next(value for key, value in fields(normalizer) if key == 2)


def t5(lines, size=2000):
    model = sentencepiece_model(lines, "unigram", size, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    made = Tokenizer(models.Unigram(pieces_of(model), 2))
    made.normalizer = normalizers.Sequence([normalizers.Precompiled(charsmap_of(model)), normalizers.Strip(left=False),
                                            normalizers.Replace(Regex(" {2,}"), "\u2581")])
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    made.decoder = decoders.Metaspace(prepend_scheme="always")
    made.add_special_tokens(special("<pad>", "</s>", "<unk>"))
    return template(made, "$A </s>", "$A </s> $B </s>", "</s>")


def xlm_roberta(lines):
    """Unigram with bytes for the unknown, words cut at white space first."""
    model = sentencepiece_model(lines, "unigram", byte_fallback=True)
    made = Tokenizer(models.Unigram(pieces_of(model), 0, byte_fallback=True))
    made.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Lowercase()])
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    made.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    return made


def word_pieces_of_marks(lines):
    """What else files use: marks and punctuation cut off, accents stripped, affixes in BPE, unknown words."""
    pre = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation("contiguous"),
                                   pre_tokenizers.Digits(individual_digits=False)])
    made = bpe(lines, pre, special("<unk>"), normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents()]),
               alphabet=[], unk_token="<unk>", end_of_word_suffix="</w>")
    made.decoder = decoders.BPEDecoder("</w>")
    made.add_tokens([AddedToken("Monday", single_word=True), AddedToken("the", single_word=True, rstrip=True)])
    return made


FAMILIES = {"gpt2": gpt2, "gpt_neox": gpt_neox, "roberta": roberta, "opt": opt, "llama3": llama3, "qwen2": qwen2,
            "tekken": tekken, "smollm": smollm, "llama2": llama2, "mistral_metaspace": mistral_metaspace, "gemma": gemma,
            "bert": bert, "distilbert_cased": distilbert_cased, "t5": t5, "xlm_roberta": xlm_roberta,
            "marks": word_pieces_of_marks}
