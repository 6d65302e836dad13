#include <algorithm>
#include <cstring>

#include "formwork/kernels/cpu/parallel.h"
#include "formwork/runtime/formwork.h"
#include "formwork/runtime/model_file.h"
#include "formwork/runtime/sampler.h"
#include "formwork/runtime/session.h"

struct formwork_model {
  formwork::runtime::ModelFile file;
};

struct formwork_sequence {
  formwork::runtime::Session session;
  std::vector<int64_t> written;
  uint64_t drawn = 0;
  const float* logits = nullptr;
};

namespace {

thread_local std::string last_error;

// What `work` returns, or `failed` where it throws.
template <class T, class Work>
T guarded(T failed, const Work& work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    last_error = "out of memory";
  } catch (const std::exception& error) {
    last_error = error.what();
    std::replace(last_error.begin(), last_error.end(), '\n', ' ');
  }
  return failed;
}

const formwork::Tokenizer& tokenizer_of(const formwork_model* model) {
  const auto* tokenizer = model->file.tokenizer();
  if (!tokenizer) formwork::fail("this model has no tokenizer; give it token ids");
  return *tokenizer;
}

formwork::SampleOptions checked(const formwork_sampling& sampling) {
  const formwork::Json options = {{"temperature", sampling.temperature},
                                  {"top_p", sampling.top_p},
                                  {"min_p", sampling.min_p},
                                  {"repetition", sampling.repetition},
                                  {"top_k", sampling.top_k}};
  return formwork::parse_options<formwork::SampleOptions>(options, "sampling");
}

}  // namespace

extern "C" {

formwork_sampling formwork_greedy(void) { return {0, 1, 0, 1, 0, 0}; }

const char* formwork_error(void) { return last_error.c_str(); }

void formwork_set_threads(int64_t threads) { formwork::set_parallel_threads(threads); }

formwork_model* formwork_load(const char* path) {
  return guarded<formwork_model*>(nullptr,
                                  [&] { return new formwork_model{formwork::runtime::ModelFile(path)}; });
}

void formwork_free_model(formwork_model* model) { delete model; }

int64_t formwork_vocab(const formwork_model* model) { return model->file.model().outputs(); }

int64_t formwork_tokenize(const formwork_model* model, const char* text, size_t bytes, int64_t* ids,
                          int64_t room) {
  return guarded<int64_t>(-1, [&] {
    const auto all = tokenizer_of(model).encode({text, bytes});
    const auto count = static_cast<int64_t>(all.size());
    std::copy_n(all.begin(), std::min(count, std::max<int64_t>(0, room)), ids);
    return count;
  });
}

int64_t formwork_detokenize(const formwork_model* model, const int64_t* ids, int64_t count, char* text,
                            int64_t room) {
  return guarded<int64_t>(-1, [&] {
    const auto bytes = tokenizer_of(model).decode({ids, ids + count});
    const auto size = static_cast<int64_t>(bytes.size());
    std::copy_n(bytes.begin(), std::min(size, std::max<int64_t>(0, room)), text);
    return size;
  });
}

formwork_sequence* formwork_start(const formwork_model* model, formwork_cache cache, int64_t capacity) {
  return guarded<formwork_sequence*>(nullptr, [&] {
    if (cache < FORMWORK_CACHE_FLOAT32 || cache > FORMWORK_CACHE_INT8)
      formwork::fail("expected a cache in [0, 2], found {}", static_cast<int>(cache));
    if (capacity < 0) formwork::fail("expected a capacity of at least 0, found {}", capacity);
    formwork::runtime::SessionOptions options;
    options.state.cache = static_cast<formwork::CacheType>(cache);
    options.state.capacity = capacity;
    return new formwork_sequence{formwork::runtime::Session(model->file.model(), options), {}};
  });
}

void formwork_free_sequence(formwork_sequence* sequence) { delete sequence; }

const float* formwork_append(formwork_sequence* sequence, const int64_t* ids, int64_t count) {
  return guarded<const float*>(nullptr, [&] {
    const formwork::runtime::Append append{0, {ids, static_cast<size_t>(std::max<int64_t>(0, count))}};
    sequence->logits = sequence->session.append({&append, 1});
    sequence->written.insert(sequence->written.end(), ids, ids + count);
    return sequence->logits;
  });
}

int64_t formwork_sample(formwork_sequence* sequence, const formwork_sampling* sampling) {
  return guarded<int64_t>(-1, [&]() -> int64_t {
    if (!sequence->logits) formwork::fail("expected tokens to be appended before one is drawn");
    const auto outputs = static_cast<size_t>(sequence->session.model().outputs());
    if (sampling->temperature == 0) return formwork::runtime::greedy({sequence->logits, outputs});
    formwork::runtime::Sampler sampler(checked(*sampling));
    return sampler.draw({sequence->logits, outputs}, sequence->written, sampling->seed, 0, sequence->drawn++);
  });
}

int formwork_truncate(formwork_sequence* sequence, int64_t tokens) {
  return guarded(-1, [&] {
    sequence->session.truncate(0, tokens);
    sequence->written.resize(static_cast<size_t>(tokens));
    sequence->logits = nullptr;
    return 0;
  });
}

}  // extern "C"
