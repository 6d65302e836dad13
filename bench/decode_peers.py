"""The other side of decoding.py, one contender a process: decode_peers.py KIND MODEL THREADS, then a JSON request a
line, {"batch", "prompt", "tokens"}, and an answer a line. The first line written says how long loading took.

A contender has load(model, threads) and run(rows, tokens) -> (prompt seconds, decode seconds, ids): it reads the rows,
chooses the first token of each, then decodes `tokens` more, greedily.
"""
import json
import sys
import time


class Transformers:
    def __init__(self, model, threads):
        import torch
        from transformers import AutoModelForCausalLM, logging
        logging.disable_progress_bar()
        torch.set_num_threads(threads)
        self.torch = torch
        self.model = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
        self.vocab = self.model.config.vocab_size

    def run(self, rows, tokens):
        ids = self.torch.tensor(rows)
        options = dict(do_sample=False, attention_mask=self.torch.ones_like(ids), pad_token_id=0, eos_token_id=None)
        with self.torch.no_grad():
            start = time.perf_counter()
            self.model.generate(ids, max_new_tokens=1, min_new_tokens=1, **options)
            first = time.perf_counter()
            out = self.model.generate(ids, max_new_tokens=tokens + 1, min_new_tokens=tokens + 1, **options)
        return first - start, time.perf_counter() - first - (first - start), out[:, ids.shape[1]:].tolist()


class CTranslate2:
    def __init__(self, model, threads):
        import ctranslate2
        self.model = ctranslate2.Generator(model, device="cpu", intra_threads=threads, inter_threads=1)
        with open(model + "/vocabulary.json") as file:
            self.vocab = len(json.load(file))

    def generate(self, rows, tokens):
        words = [[f"t{id}" for id in row] for row in rows]
        results = self.model.generate_batch(words, beam_size=1, sampling_topk=1, max_length=tokens, min_length=tokens,
                                            include_prompt_in_result=False, end_token=[], max_batch_size=64)
        return [result.sequences_ids[0] for result in results]

    def run(self, rows, tokens):
        start = time.perf_counter()
        self.generate(rows, 1)
        first = time.perf_counter()
        ids = self.generate(rows, tokens + 1)
        return first - start, time.perf_counter() - first - (first - start), ids


class LlamaCpp:
    def __init__(self, model, threads):
        import llama_cpp.llama_cpp as lib
        import numpy
        self.lib, self.numpy, self.threads = lib, numpy, threads
        self.quiet = lib.llama_log_callback(lambda level, text, data: None)
        lib.llama_log_set(self.quiet, None)
        lib.llama_backend_init()
        self.model = lib.llama_model_load_from_file(model.encode(), lib.llama_model_default_params())
        self.vocab = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(self.model))

    def context(self, rows, tokens):
        params = self.lib.llama_context_default_params()
        each = (len(rows[0]) + tokens + 2 + 255) // 256 * 256
        params.n_ctx, params.n_seq_max, params.n_batch = each * len(rows), len(rows), 2048
        params.n_threads = params.n_threads_batch = self.threads
        return self.lib.llama_init_from_model(self.model, params)

    def decode(self, context, columns, position):
        """Adds the same number of tokens to every row -> the best next token of each."""
        lib, count = self.lib, len(columns) * len(columns[0])
        batch, last = lib.llama_batch_init(count, 0, 1), []
        for row, tokens in enumerate(columns):
            for j, token in enumerate(tokens):
                at = batch.n_tokens
                batch.token[at], batch.pos[at], batch.n_seq_id[at] = token, position + j, 1
                batch.seq_id[at][0], batch.logits[at] = row, j + 1 == len(tokens)
                batch.n_tokens += 1
            last.append(batch.n_tokens - 1)
        if lib.llama_decode(context, batch) != 0:
            raise SystemExit("llama.cpp cannot decode")
        best = [int(self.numpy.ctypeslib.as_array(lib.llama_get_logits_ith(context, at), (self.vocab,)).argmax())
                for at in last]
        lib.llama_batch_free(batch)
        return best

    def run(self, rows, tokens):
        context = self.context(rows, tokens)
        start = time.perf_counter()
        made = [self.decode(context, rows, 0)]
        first = time.perf_counter()
        for i in range(tokens):
            made.append(self.decode(context, [[token] for token in made[-1]], len(rows[0]) + i))
        end = time.perf_counter()
        self.lib.llama_free(context)
        return first - start, end - first, [list(row) for row in zip(*made)]


def peak_bytes():
    """Not ru_maxrss, which a process inherits from the one that started it."""
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024


CONTENDERS = {"transformers": Transformers, "ctranslate2": CTranslate2, "llama.cpp": LlamaCpp}


def main():
    kind, path, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    __import__({"transformers": "transformers", "ctranslate2": "ctranslate2", "llama.cpp": "llama_cpp"}[kind])
    start = time.perf_counter()
    contender = CONTENDERS[kind](path, threads)
    print(json.dumps({"load_seconds": time.perf_counter() - start}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        rows = [[(i * 7919 + j * 104729) % contender.vocab for j in range(request["prompt"])]
                for i in range(request["batch"])]
        prompt, decode, ids = contender.run(rows, request["tokens"])
        print(json.dumps({"prompt_seconds": prompt, "decode_seconds": decode, "ids": ids,
                          "peak": peak_bytes()}), flush=True)


main()
