/* Texts to tokens, and a model's numbers to predictions, for programs in other languages that run an exported
   model.onnx by themselves: what Python's module `thimble` stands on. C, free of LibTorch; JSON, UTF-8.

   Functions that return an int return 0, or the exit code of the error (1: the work failed, 2: the request
   was wrong), whose message thimble_texts_error() then gives. Strings belong to what they were asked of. */
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thimble_texts thimble_texts; /* a model without its weights; several threads may use one */
typedef struct thimble_rows thimble_rows;   /* inputs as tokens */

const char* thimble_texts_version(void);
const char* thimble_texts_error(void); /* of this thread's last call that returned one */

/* `request`: {"directory": "tuned/", "outputs": 2, "tokens": false, "max_length": 0, "assume_label_order":
   false}. outputs: numbers that the graph gives a row (tokens: false) or each token (true), 0: it has no
   head. */
int thimble_texts_open(const char* request, thimble_texts** texts);
/* {"kind": "classification", "number", "answers" or "labels"; "labels": [...], "unanswerable", "max_length"}
 */
const char* thimble_texts_about(const thimble_texts* texts);
void thimble_texts_free(thimble_texts* texts);

/* `inputs`: [["a text"], ["one text", "and its pair"], ...] */
int thimble_texts_read(const thimble_texts* texts, const char* inputs, thimble_rows** rows);
/* [[input_ids, token_type_ids], ...], a window each: one an input, of a passage one or more */
const char* thimble_rows_windows(const thimble_rows* rows);
/* `logits`: of each window, in their order, `outputs` numbers, one after the other; of tokens [T][outputs].
   `count`: how many these are. Once for `rows`. */
int thimble_rows_predict(const thimble_texts* texts, thimble_rows* rows, const float* logits, int64_t count);
/* A list with an object each input, as `thimble predict --json` prints it. */
const char* thimble_rows_predictions(const thimble_rows* rows);
void thimble_rows_free(thimble_rows* rows);

#ifdef __cplusplus
}
#endif
