/* Formwork's runtime from C: decode MODEL PROMPT TOKENS continues a prompt by the most probable tokens.
 *
 * Link the whole of libformwork-runtime.a, since its parts register themselves, and the C++ library:
 *   cc -c decode.c && c++ decode.o -Wl,--whole-archive -lformwork-runtime -Wl,--no-whole-archive -lpthread
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formwork/runtime/formwork.h"

static int failed(const char* what) {
  fprintf(stderr, "%s: %s\n", what, formwork_error());
  return 1;
}

/* Prints the text of a token at once. */
static void show(const formwork_model* model, int64_t token) {
  char text[256];
  const int64_t bytes = formwork_detokenize(model, &token, 1, text, sizeof text);
  if (bytes > 0) fwrite(text, 1, bytes < (int64_t)sizeof text ? (size_t)bytes : sizeof text, stdout);
  fflush(stdout);
}

static int continue_prompt(const formwork_model* model, const char* prompt, int tokens) {
  const size_t bytes = strlen(prompt);
  const int64_t count = formwork_tokenize(model, prompt, bytes, NULL, 0);
  if (count < 0) return failed("tokenize");
  int64_t* ids = malloc((size_t)(count + 1) * sizeof *ids);
  formwork_sequence* sequence = formwork_start(model, FORMWORK_CACHE_FLOAT32, count + tokens);
  int status = ids == NULL || sequence == NULL ? failed("start") : 0;
  if (status == 0) {
    const formwork_sampling greedy = formwork_greedy();
    formwork_tokenize(model, prompt, bytes, ids, count);
    fputs(prompt, stdout);
    if (formwork_append(sequence, ids, count) == NULL) status = failed("append");
    for (int i = 0; status == 0 && i < tokens; ++i) {
      const int64_t token = formwork_sample(sequence, &greedy);
      if (token < 0) status = failed("sample");
      if (status == 0) show(model, token);
      if (status == 0 && formwork_append(sequence, &token, 1) == NULL) status = failed("append");
    }
    putchar('\n');
  }
  formwork_free_sequence(sequence);
  free(ids);
  return status;
}

int main(int argc, char** argv) {
  if (argc != 4) {
    fputs("usage: decode MODEL PROMPT TOKENS\n", stderr);
    return 2;
  }
  formwork_model* model = formwork_load(argv[1]);
  if (model == NULL) return failed("load");
  const int status = continue_prompt(model, argv[2], atoi(argv[3]));
  formwork_free_model(model);
  return status;
}
