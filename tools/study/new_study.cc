#include "tools/study/new_study.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/text_literal.h"
#include "models/encoder/cost.h"
#include "models/encoder/resolve.h"
#include "search/cut_space.h"
#include "tools/quantities.h"

namespace thimble::tools {
namespace {

constexpr int kStartRows = 1000;  // of the sliced start
constexpr int kJudgeRows = 1000;  // held out; fewer do not tell students apart
constexpr int kNarrow = 128;      // token table where parameters count

// What stands in a comment ends with its line.
std::string OneLine(std::string text) {
  for (char& c : text)
    if (static_cast<uint8_t>(c) < 0x20) c = ' ';
  return text;
}

std::string Absolute(const std::string& path) {
  return TextLiteral(std::filesystem::absolute(path).lexically_normal().string());
}

std::string Head(const NewStudy& study, double holdout) {
  return "# proto-file: proto/study.proto\n# proto-message: thimble.proto.Study\n#\n"
         "# A search for a small BERT for " +
         OneLine(study.entry.name) + ". Run it: thimble search " + OneLine(study.directory) +
         "\n"
         "# Every field: thimble describe study\n\n"
         "teacher { model: " +
         Absolute(study.teacher) + (study.assume_label_order ? " assume_label_order: true" : "") +
         " }\n"
         "data { directory: " +
         Absolute(study.data) + " task { " + data::MakeTask(study.task).ShortDebugString() +
         " } train_rows: " + std::to_string(study.rows) + " holdout: " + Decimal(holdout, 2) + " }  # " +
         std::to_string(study.found_rows) + " rows; the held-out ones rank candidates\n\n";
}

std::string Corpus(const NewStudy& study, int lines) {
  return study.corpus.empty()
             ? ""
             : "  corpus { path: " + Absolute(study.corpus) + " lines: " + std::to_string(lines) +
                   " epochs: 1 learning_rate: 2e-5 }  # then distil on plain text\n";
}

std::string Shortest(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

std::string List(const google::protobuf::RepeatedField<int32_t>& values) {
  std::string text;
  for (const int value : values) text += (text.empty() ? "" : ", ") + std::to_string(value);
  return "[" + text + "]";
}

int64_t UniformParameters(int hidden, const models::Model& model, int stacks) {
  const models::ResolvedArchitecture& teacher = model.shape;
  models::ResolvedArchitecture shape = teacher;
  shape.hidden = shape.ffn_hidden = hidden;
  shape.embedding.mutable_trigram();
  shape.embedding_width = shape.embedding.trigram().width();
  shape.pooler = teacher.hidden;
  for (auto& layer : shape.layers) layer.stacks = stacks, layer.width = hidden;
  return models::DeployedParameters(shape, model.classes, model.head);
}

// The widest student whose uniform form with 3 full blocks a layer (the middle of the space, seen by size)
// fits the budget.
int ChooseHidden(const models::Model& model, int64_t budget) {
  const models::ResolvedArchitecture& teacher = model.shape;
  int hidden = 0;
  for (int width = teacher.heads * 2; width <= teacher.hidden; width += teacher.heads)
    if (UniformParameters(width, model, 3) <= budget) hidden = width;
  if (hidden == 0)
    throw BadRequest("--max-params", "too few for any student of this teacher", Millions(budget),
                     "at least " + Millions(UniformParameters(teacher.heads * 2, model, 3)));
  return hidden;
}

// Of the teacher's time, what a student takes.
double Share(const NewStudy& study, const proto::Constraint& target) {
  if (target.has_multiply_adds() && target.multiply_adds().has_speedup())
    return 1 / target.multiply_adds().speedup();
  if (target.has_latency() && target.latency().has_speedup()) return 1 / target.latency().speedup();
  if (target.has_parameters())
    return std::min(1.0,
                    static_cast<double>(target.parameters().max()) / static_cast<double>(study.Parameters()));
  return 0.3;
}

// Behind the search over shapes.
std::string OperatorStage(const ShapeEffort& effort) {
  if (effort.operators == 0) return "";
  const std::string trials = std::to_string(effort.operators);
  return "stage {\n"
         "  name: \"operators\"  vary: [EXPRESSION]  from: \"training\"\n"
         "  filter { sliced_score {} keep: 0.25 }  # of the proposals, by their untrained score\n"
         "  strategy { evolution { population: 4 tournament: 2 } }\n"
         "  evaluator { successive_halving { epochs: " +
         std::to_string(effort.epochs) +
         " } }\n"
         "  trials: " +
         trials + "  round: " + trials +
         "\n"
         "}\n";
}

}  // namespace

search::SpaceContext NewStudy::Context() const {
  return {.classes = static_cast<int>(entry.labels.size()),
          .teacher_hidden = model.model.shape.hidden,
          .head = model.model.head,
          .teacher = model.model.architecture};
}

int64_t NewStudy::Parameters() const {
  return models::DeployedParameters(model.model.shape, static_cast<int>(entry.labels.size()),
                                    model.model.head);
}

std::string OperatorStudy(const NewStudy& study, const OperatorEffort& effort, int64_t budget) {
  const auto& shape = study.model.model.shape;
  const int hidden = ChooseHidden(study.model.model, budget);
  const std::string keep = Decimal(effort.keep, 2), population = std::to_string(effort.population);
  return Head(study, 0.15) +
         "# The supernet starts from the teacher's own weights.\n"
         "warmup {\n  sliced { rows: " +
         std::to_string(effort.rows) + " validate_rows: 100 }\n" + Corpus(study, effort.lines) +
         "}\n\n"
         "# The shape is fixed, the feed-forward blocks are searched. Several values are a choice.\n"
         "space {\n"
         "  hidden: " +
         std::to_string(hidden) + "  heads: " + std::to_string(shape.heads) +
         "  layers: " + std::to_string(shape.layers.size()) +
         "  vocabulary: " + std::to_string(shape.vocabulary) +
         "\n"
         "  embedding { trigram { width: 128 } }\n"
         "  layer {\n"
         "    mixer { self_attention {} }\n"
         "    ffn {\n"
         "      expression { unary: [gelu, sigmoid, tanh, relu, leaky_relu, elu, swish] binary: [add, mul, "
         "max] max_height: 5 }\n"
         "      stacks: [1, 2, 3, 4]\n"
         "      ratio: [\"1\", \"1/2\", \"1/3\", \"1/4\"]\n"
         "    }\n"
         "  }\n"
         "}\n"
         "# The teacher has " +
         Millions(study.Parameters()) +
         " parameters.\n"
         "constraint { parameters { min: " +
         std::to_string(budget * 85 / 100) + " max: " + std::to_string(budget) +
         " counting: DEPLOYED } }\n\n"
         "# How a candidate is taught.\n"
         "recipe {\n"
         "  epochs: " +
         std::to_string(effort.epochs) +
         "  # of the exported student; stages say their own\n"
         "  batching { max_length: " +
         std::to_string(study.length) +
         " size: 32 }\n"
         "  objective { loss { attention_scores {} } loss { hidden_states {} } loss { soft_labels {} } }\n"
         "  optimizer { came { learning_rate: 2e-5 } }  # short runs: CAME's early steps are tens of rates "
         "long\n"
         "  schedule { linear { warmup_fraction: 0.2 } }\n"
         "}\n"
         "fitness: LOSS  # on held-out rows; far less noisy than accuracy\n\n"
         "# From coarse to fine. A stage fixes what it does not vary to what the stage it comes `from` found "
         "best.\n"
         "stage {\n"
         "  name: \"joint\"  vary: [EXPRESSION, STACKS, RATIO]\n"
         "  filter { sliced_score {} keep: " +
         keep +
         " }  # of the proposals, by their untrained score\n"
         "  strategy { evolution { population: " +
         population +
         " tournament: 3 } }\n"
         "  evaluator { short_distillation { epochs: 1 } }\n"
         "  trials: " +
         std::to_string(effort.joint) +
         "  round: 2\n"
         "}\n"
         "stage {\n"
         "  name: \"operators\"  vary: [EXPRESSION]  from: \"joint\"\n"
         "  filter { sliced_score {} keep: " +
         keep +
         " }\n"
         "  strategy { evolution { population: " +
         population +
         " tournament: 3 } }\n"
         "  evaluator { short_distillation { epochs: 1 } }\n"
         "  trials: " +
         std::to_string(effort.operators) +
         "  round: 2\n"
         "}\n"
         "stage {\n"
         "  name: \"shape\"  vary: [STACKS, RATIO]  from: \"operators\"\n"
         "  strategy { evolution { population: " +
         population +
         " tournament: 3 } }\n"
         "  evaluator { supernet { epochs: 1 } }  # one training run, then every candidate with its weights\n"
         "  trials: " +
         std::to_string(effort.shape) +
         "  round: 8\n"
         "}\n"
         "seed: 1\n";
}

std::string ShapeStudy(const NewStudy& study, const ShapeEffort& effort,
                       const std::vector<proto::Constraint>& targets) {
  const models::ResolvedArchitecture& teacher = study.model.model.shape;
  std::vector<proto::Embedding> offered;
  const bool by_parameters = std::any_of(targets.begin(), targets.end(), [](const auto& target) {
    return target.has_parameters() || target.has_bytes();
  });
  if (by_parameters) {
    // Most of a small model is its token table.
    offered.assign(3, teacher.embedding);
    offered[1].mutable_factorised()->set_width(std::min(kNarrow, teacher.hidden));
    offered[2].mutable_trigram()->set_width(std::min(kNarrow, teacher.hidden));
    if (!teacher.embedding.has_plain()) offered.resize(1);
  }
  const proto::Space space = search::CutSpace(teacher, offered);
  std::string layers, embeddings, wanted;
  for (const auto& layer : space.layer())
    layers += "  layer {\n" + (layer.at().empty() ? "" : "    at: " + List(layer.at()) + "\n") +
              "    mixer { self_attention {} }\n"
              "    heads: " +
              List(layer.heads()) +
              "\n"
              "    ffn {\n"
              "      expression { seed: " +
              TextLiteral(layer.ffn().expression().seed()) +
              " }\n"
              "      stacks: 1\n"
              "      width: " +
              List(layer.ffn().width()) +
              "\n"
              "    }\n"
              "  }\n";
  for (const auto& embedding : space.embedding())
    embeddings += "  embedding { " + embedding.ShortDebugString() + " }\n";
  for (const auto& target : targets) wanted += "target { " + target.ShortDebugString() + " }\n";
  const std::string vary =
      std::string("[HEADS, WIDTH, HIDDEN, LAYERS") + (space.embedding_size() > 1 ? ", EMBEDDING]" : "]");
  const double holdout =
      std::clamp(kJudgeRows / std::max<double>(1, static_cast<double>(study.found_rows)), 0.1, 0.3);
  return Head(study, holdout) +
         "# Students are cut out of the teacher: the most useful heads and neurons stay, and what is left is "
         "refitted.\n"
         "warmup {\n  sliced { rows: " +
         std::to_string(kStartRows) + " surgeon: true weigh_tokens: 0.5 }\n" + Corpus(study, 4000) +
         "}\n\n"
         "# Several values are a choice: the teacher itself first, down to layers without heads and "
         "neurons.\n"
         "space {\n"
         "  hidden: " +
         List(space.hidden()) + "  layers: " + List(space.layers()) +
         "\n"
         "  heads: " +
         std::to_string(space.heads()) + "  head_width: " + std::to_string(space.head_width()) +
         "\n"
         "  vocabulary: " +
         std::to_string(space.vocabulary()) + "  positions: " + std::to_string(space.positions()) +
         "  segments: " + std::to_string(space.segments()) + "  pooler: " + std::to_string(space.pooler()) +
         "  layer_norm_epsilon: " + Shortest(space.layer_norm_epsilon()) + "\n" + embeddings + layers +
         "}\n\n"
         "# One student each. On this machine's own time: target { latency { speedup: 4 } }, or { latency { "
         "max_ms: 5 } }\n" +
         wanted +
         "\n"
         "# How a candidate is taught.\n"
         "recipe {\n"
         "  epochs: " +
         std::to_string(effort.epochs) +
         "  # of the exported student; stages say their own\n"
         "  batching { max_length: " +
         std::to_string(study.length) +
         " size: 32 }\n"
         "  objective { loss { hidden_states {} } loss { soft_labels {} } layers: NEAREST }\n"
         "  optimizer { adamw { learning_rate: 2e-4 } }\n"
         "  schedule { linear { warmup_fraction: 0.1 } }\n"
         "}\n"
         "fitness: DIVERGENCE  # from the teacher's answers on held-out rows, the same for all shapes\n"
         "controls: true       # the best uniform and the best random student are trained beside the "
         "finalists\n" +
         (study.ready.empty() ? "" : "ready: " + Absolute(study.ready) + "  # trained beside them, too\n") +
         "\n"
         "stage {\n"
         "  name: \"allocation\"  vary: " +
         vary +
         "\n"
         "  strategy { allocation {} }\n"
         "  evaluator { untrained {} }  # cut, refitted, scored: seconds each\n"
         "  trials: " +
         std::to_string(effort.judged) +
         "  round: 8\n"
         "}\n"
         "stage {\n"
         "  name: \"training\"  vary: " +
         vary +
         "  from: \"allocation\"\n"
         "  strategy { finalists {} }\n"
         "  evaluator { successive_halving { epochs: " +
         std::to_string(effort.epochs) +
         " } }\n"
         "  trials: " +
         std::to_string(effort.finalists) + "  round: " + std::to_string(effort.finalists) +
         (effort.again > 0 ? "  again: " + std::to_string(effort.again) +
                                 "  # those that cannot be told from the best, once more"
                           : "") +
         "\n"
         "}\n" +
         OperatorStage(effort) + "seed: 1\n";
}

// What steps take, in passes of the teacher over a row, from runs of a 6 x 384 teacher (docs/search.md): a
// judged student's refit and score look at the rows of the start and of the judge a few times, a training
// step at its row three times, beside what does not shrink with the student.
ShapeEffort EffortWithin(const NewStudy& study, double minutes, bool operators,
                         const std::vector<proto::Constraint>& targets, double rows_a_second) {
  const double seconds = 60 * minutes;
  const auto rows = static_cast<double>(study.found_rows);
  const models::ResolvedArchitecture& teacher = study.model.model.shape;
  double neurons = 0;
  for (const auto& layer : teacher.layers) neurons += std::pow(layer.width / 1536.0, 3);
  // Two hidden widths: the surgeon's inverses; a backward pass over the start's rows.
  const double fixed = 2 * 6.0 * neurons + 6.0 * kStartRows / rows_a_second;
  double judge = 0, epoch = 0;  // seconds of one, over all targets
  for (const auto& target : targets) {
    const double share = Share(study, target) + 0.1;
    judge += 3.0 * share * (kStartRows + kJudgeRows) / rows_a_second;
    epoch += 4.0 * share * rows / rows_a_second;
  }
  const double left = std::max(0.0, seconds - fixed);
  ShapeEffort effort{.judged = 16, .finalists = 4, .epochs = 2};
  const auto cost = [&](const ShapeEffort& each) {
    double members = 0;  // epochs of all finalists
    int alive = each.finalists;
    for (int i = 0; i < each.epochs; ++i) {
      members += alive;
      alive = std::max(std::min(alive, 2), (alive + 1) / 2);
    }
    members += each.again * each.epochs;
    // What the stage of operators starts from, and its controls; all but these halve, which is about half of
    // all epochs.
    if (operators) members += (3 + each.operators / 2.0) * each.epochs;
    return each.judged * judge + members * epoch;
  };
  effort.operators = operators ? 4 : 0;
  for (ShapeEffort larger :
       {ShapeEffort{24, 4, 2}, ShapeEffort{32, 5, 3}, ShapeEffort{48, 6, 3}, ShapeEffort{64, 8, 3, 2},
        ShapeEffort{96, 10, 4, 3}, ShapeEffort{160, 16, 5, 4}, ShapeEffort{320, 24, 6, 6}}) {
    larger.operators = operators ? larger.finalists : 0;
    if (cost(larger) <= left) effort = larger;
  }
  effort.minutes = (fixed + cost(effort)) / 60;
  return effort;
}

}  // namespace thimble::tools
