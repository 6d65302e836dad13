/* Formwork's runtime from C: load a model, turn text into tokens, append them, sample.
 *
 * Functions that can fail return NULL or -1; formwork_error() then says why, in one line. A model may be
 * shared by threads; a sequence belongs to one at a time.
 */
#ifndef FORMWORK_RUNTIME_FORMWORK_H_
#define FORMWORK_RUNTIME_FORMWORK_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct formwork_model formwork_model;
typedef struct formwork_sequence formwork_sequence;

typedef enum { FORMWORK_CACHE_FLOAT32, FORMWORK_CACHE_BFLOAT16, FORMWORK_CACHE_INT8 } formwork_cache;

/* How a token is drawn; see `formwork list decode` for what each does. A temperature of 0 takes the most
 * probable token and leaves the others without effect. Start from formwork_greedy(). */
typedef struct {
  double temperature, top_p, min_p, repetition;
  int64_t top_k;
  uint64_t seed;
} formwork_sampling;

formwork_sampling formwork_greedy(void);

/* Of the last call of this thread that failed; valid until its next one. */
const char* formwork_error(void);

/* Threads that all models of the process use; to be called before the first is loaded. */
void formwork_set_threads(int64_t threads);

/* `path`: a folder of Formwork's (formwork.json, model.safetensors), one of Hugging Face's (config.json and
 * safetensors, also in shards) or a .gguf file. Weights stay mapped; the file must stay as it is. */
formwork_model* formwork_load(const char* path);
void formwork_free_model(formwork_model* model);
int64_t formwork_vocab(const formwork_model* model);

/* Writes at most `room` tokens; returns how many there are, so that room 0 asks for the number. */
int64_t formwork_tokenize(const formwork_model* model, const char* text, size_t bytes, int64_t* ids,
                          int64_t room);
/* The bytes of some tokens, not terminated; at most `room` are written, and their number is returned. */
int64_t formwork_detokenize(const formwork_model* model, const int64_t* ids, int64_t count, char* text,
                            int64_t room);

/* An empty sequence with room for `capacity` tokens (it grows beyond). The model must outlive it. */
formwork_sequence* formwork_start(const formwork_model* model, formwork_cache cache, int64_t capacity);
void formwork_free_sequence(formwork_sequence* sequence);

/* Adds tokens, at least one. Returns the logits [vocab] of the token that follows, valid until the next call.
 */
const float* formwork_append(formwork_sequence* sequence, const int64_t* ids, int64_t count);
/* Draws the token that follows what was appended; does not append it. */
int64_t formwork_sample(formwork_sequence* sequence, const formwork_sampling* sampling);
/* Forgets all but the first `tokens` tokens; 0, or -1. */
int formwork_truncate(formwork_sequence* sequence, int64_t tokens);

#ifdef __cplusplus
}
#endif

#endif /* FORMWORK_RUNTIME_FORMWORK_H_ */
