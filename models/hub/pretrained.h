// Models in a directory: a BERT in Hugging Face layout, or a student that thimble exported
// (architecture.textproto beside model.safetensors).
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "models/hub/hub_config.h"
#include "models/hub/settings.h"
#include "models/model.h"

namespace thimble::models {

struct Pretrained {
  Model model;
  std::vector<std::string> label_names;  // id2label of config.json, by index; empty without a head
  std::vector<std::pair<std::string, int>>
      label_ids;                    // its label2id; empty without a head, or where it is absent
  std::vector<std::string> unused;  // tensors of the file without a place in the model: cls.predictions.bias
  std::vector<std::string> initialised;  // weights that AddHead drew anew
  std::string directory;
  std::string model_type;          // of config.json: "bert", "thimble"
  std::string format;              // of the weights: "safetensors", "pickle"
  std::vector<std::string> files;  // that hold them, names within the directory
  int64_t bytes = 0;               // of these files
  int loaded = 0;                  // tensors of the files that are in the model
  ConfigNames config;              // what became of the fields of config.json
  std::vector<std::string> notes;  // what else a user should know: "its head is not used: ..."
  Settings settings;               // of null_threshold: nothing where nobody tuned it
  // Each of label_names is true or not whatever the others are (problem_type multi_label_classification).
  bool multi_label = false;
};

// Reads config.json and the weights: safetensors or pytorch_model.bin, one file or many
// (models/hub/weight_files.h); nothing of them is executed. The encoders of these model types, whatever head
// they carry:
//   bert        prefix `bert.` optional, LayerNorm.{gamma,beta} accepted
//   distilbert  becomes a BERT whose token types add nothing. Its head for sentences (pre_classifier, ReLU)
//   is
//               another function than ours: unused, with a warning
//   roberta     position table without its first rows. The classifier becomes pooler and head. Its text is
//   cut
//               by byte-pair encoding, so commands that read text refuse its tokenizer
//   mobilebert  with `classifier_activation` its pooler and classifier; without, the classifier is unused
//   thimble     what SavePretrained writes
// Names without what wrapped the model when it was saved ("module.", "_orig_mod.":
// models/hub/weight_names.h). A missing encoder weight, a shape that disagrees with config.json, another
// model_type, or a value of another field that is not computed here (models/hub/config_fields.h) is an Error
// (exit 2), a NaN or an infinity in a weight one of exit 1. Without a pooler or head in the file: classes = 0
// and no weights for them are made. A classifier without a pooler labels tokens: it is listed as unused with
// a note, as are one that "architectures" gives to tokens or to choices, one whose outputs contradict
// "problem_type", and heads for masked tokens. "qa_outputs" is a head on tokens, for spans; a pooler beside
// it is listed as unused. float16 and bfloat16 become float32.
Pretrained LoadPretrained(const std::string& directory);

// Tokens of a row or window that the model answers from: those it was trained with; where it does not say,
// the tokenizer's model_max_length, at most 512, or 384 of a window of spans. Never more than it has
// positions.
int ReadLength(const Pretrained& model);

// Error (exit 2) if the outputs of the model's head are labels that do not exclude one another: no task of
// ours is of that kind, and no student of such a head is made.
void RequireOneLabel(const Pretrained& pretrained);
// Likewise, and one that names `thimble finetune DIR --task ...` if `teacher` has no head, one of another
// kind, or another number of classes.
void RequireHead(const Pretrained& teacher, int classes, const std::string& task,
                 TaskHead head = TaskHead::kPooled);
bool HasHead(const Model& model, int classes, TaskHead head);
std::string DescribeHead(int classes, TaskHead head);  // "a head of 3 classes"

// Gives the model a new head with `classes` outputs from N(0, 0.02), and a pooler if the head reads it and
// there is none. A head on tokens takes the pooler's place.
void AddHead(Pretrained* pretrained, int classes, const std::vector<std::string>& label_names, Random random,
             TaskHead head = TaskHead::kPooled);

// Puts the outputs of a head that reads a pooler in another order: output i becomes what output `from[i]`
// was. Tensors that other models share stay as they are.
void ReorderHead(const std::vector<int>& from, Model* model);

// Writes config.json and model.safetensors into an existing directory. A plain BERT (plain embedding,
// LayerNorm, no bottleneck, pooler as wide as hidden, one block a layer, all of one width and one activation
// that Hugging Face knows) is written with Hugging Face names, as BertForSequenceClassification or
// BertForQuestionAnswering, without a head as BertModel; others with our names, architecture.textproto and
// modeling_thimble.py, with which transformers reads them (AutoModel, AutoModelForSequenceClassification,
// AutoModelForQuestionAnswering; trust_remote_code). Tokenizer files are the caller's (CopyTokenizer).
// fit_dense is not written. Of `settings` config.json gets what is there, model_max_length apart: it is the
// tokenizer's.
void SavePretrained(const Model& model, const std::vector<std::string>& label_names,
                    const std::string& directory, const Settings& settings = {});
bool IsPlainBert(const Model& model);
// Copies what a tokenizer is read from, byte for byte: vocab.txt, tokenizer.json, tokenizer_config.json,
// special_tokens_map.json and added_tokens.json, those that are there; and into `to`'s config.json, written
// before, the tokenizer_class of `from`'s.
void CopyTokenizer(const std::string& from, const std::string& to);

}  // namespace thimble::models
