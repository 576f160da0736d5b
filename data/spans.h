// Questions about passages: windows that fit a model, and answers put together from its scores. As
// run_squad.py of BERT (Devlin et al., 2019), but that answers are cut out of the passage by the tokens'
// offsets, as Hugging Face's run_qa.py does; and the n best starts and ends are those of the passage's
// tokens, so that a model that was never taught what to say of the question's is read rightly, too.
#pragma once
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/metrics/squad_metrics.h"
#include "data/task.h"

namespace thimble::data {

// [CLS] question [SEP] part of the passage [SEP], several for a row whose passage is too long. The label of a
// training example is the first and last token of the row's first answer; [CLS], 0, where the window does not
// hold it or there is none.
Dataset TokenizeSpans(const std::vector<Row>& rows, const TaskEntry& task, const WordPiece& tokenizer,
                      int max_length, int threads);

struct SpanAnswer {
  std::string text;  // empty: no answer
  std::string best;  // the best span, whatever the score of no answer
  double null_odds =
      0;  // score of no answer minus that of the best span; 0 for a task without unanswerable questions
  struct Choice {
    std::string text;
    double score = 0;  // start's plus end's
  };
  std::vector<Choice> n_best;  // falling scores, at most SpanOptions::n_best
};

// Scores of each token as start and as end: logits[example][2 * token + {0, 1}]; padding may follow. One
// answer a row.
std::vector<SpanAnswer> FindAnswers(const Dataset& data, const std::vector<Row>& rows, const TaskEntry& task,
                                    const std::vector<std::vector<double>>& logits);

// No answer where `threshold` says so, the best span elsewhere.
void ApplyThreshold(double threshold, std::vector<SpanAnswer>* answers);

// Scores of the official scripts for one answer a row.
SpanScore ScoreRow(const TaskEntry& task, const Row& row, const std::string& answer);
std::vector<Metric> ScoreAnswers(const TaskEntry& task, const std::vector<Row>& rows,
                                 const std::vector<SpanAnswer>& answers);
// The threshold that gives the task's first metric its highest value, as evaluate-v2.0.py finds it.
NullThreshold TuneThreshold(const TaskEntry& task, const std::vector<Row>& rows,
                            const std::vector<SpanAnswer>& answers);

}  // namespace thimble::data
