// thimble init DIR --task mrpc --data glue/ --teacher DIR [--max-params 9M]
#include <CLI/CLI.hpp>
#include <cmath>
#include <filesystem>
#include <memory>

#include "base/config.h"
#include "base/error.h"
#include "base/files.h"
#include "base/output_directory.h"
#include "base/spelling.h"
#include "base/text_literal.h"
#include "distill/start/sliced.h"
#include "models/encoder/cost.h"
#include "search/controller.h"
#include "search/space.h"
#include "tools/common.h"
#include "tools/row_length.h"
#include "train/task_model.h"

namespace thimble::tools {
namespace fs = std::filesystem;
namespace of_init {
namespace {

struct Request : Options {
  std::string directory, task, data, teacher, max_params, corpus, effort = "standard";
  int rows = 0;
};

// How much is searched: candidates trained in the first two stages, candidates scored in the third, rows of the sliced start,
// lines of text, epochs of the exported student, share that the filter keeps.
struct Effort {
  int joint, operators, shape, population, rows, lines, epochs;
  double keep;
};

Effort EffortOf(const std::string& name) {
  if (name == "quick") return {.joint = 4, .operators = 4, .shape = 16, .population = 4, .rows = 300, .lines = 1200, .epochs = 2, .keep = 0.5};
  if (name == "standard") return {.joint = 8, .operators = 4, .shape = 24, .population = 4, .rows = 600, .lines = 4000, .epochs = 2, .keep = 0.25};
  if (name == "thorough") return {.joint = 48, .operators = 32, .shape = 256, .population = 16, .rows = 1000, .lines = 40000, .epochs = 5, .keep = 0.25};
  throw BadRequest("--effort", "unknown", name,
                   "quick, standard, thorough" + DidYouMean(name, {"quick", "standard", "thorough"}));
}

int64_t Uniform(int hidden, const models::Model& model, int stacks) {
  const models::Shape& teacher = model.shape;
  models::Shape shape = teacher;
  shape.hidden = shape.ffn_hidden = hidden;
  shape.embedding.mutable_trigram();
  shape.embedding_width = shape.embedding.trigram().width();
  shape.pooler = teacher.hidden;
  for (auto& layer : shape.layers) layer.stacks = stacks, layer.width = hidden;
  return models::DeployedParameters(shape, model.classes, model.head);
}

// The widest student whose uniform form with 3 full blocks a layer (the middle of the space, seen by size) fits the budget.
int ChooseHidden(const models::Model& model, int64_t budget) {
  const models::Shape& teacher = model.shape;
  int hidden = 0;
  for (int width = teacher.heads * 2; width <= teacher.hidden; width += teacher.heads)
    if (Uniform(width, model, 3) <= budget) hidden = width;
  if (hidden == 0)
    throw BadRequest("--max-params", "too few for any student of this teacher", Millions(budget),
                     "at least " + Millions(Uniform(teacher.heads * 2, model, 3)));
  return hidden;
}

// What stands in a comment ends with its line.
std::string OneLine(std::string text) {
  for (char& c : text)
    if (static_cast<uint8_t>(c) < 0x20) c = ' ';
  return text;
}

void Run(const Request& request) {
  const auto effort = EffortOf(request.effort);
  const auto& task = FindTrainable(request.task, request.data);
  const int classes = static_cast<int>(task.labels.size());
  const OutputDirectory output(request.directory, request.force);
  const auto teacher = train::LoadTaskModel(request.teacher, task, request.assume_label_order);
  const auto& shape = teacher.model.shape;
  const auto length = LengthLike(&teacher, task, shape);
  SayLength(length, length.tokens);
  distill::CheckSliceable(shape, teacher.model);  // the study's warm-up
  const int64_t whole = models::DeployedParameters(shape, classes, teacher.model.head);
  const int64_t budget = request.max_params.empty() ? whole * 4 / 10 : ParseCount("--max-params", request.max_params);
  const int hidden = ChooseHidden(teacher.model, budget);
  const int64_t least = budget * 85 / 100;
  // Read now, so that a wrong directory is known now.
  const size_t rows =
      data::ReadRows(task, data::SplitPath(task, request.data, task.train), request.rows).size();
  const auto absolute = [](const std::string& path) { return TextLiteral(fs::absolute(path).lexically_normal().string()); };
  const std::string corpus =
      request.corpus.empty() ? "" : "  corpus { path: " + absolute(request.corpus) + " lines: " + std::to_string(effort.lines) + " epochs: 1 learning_rate: 2e-5 }  # then distil on plain text\n";
  const std::string text =
      "# proto-file: proto/study.proto\n# proto-message: thimble.proto.Study\n#\n"
      "# A search for a small BERT for " + OneLine(task.name) + ". Run it: thimble search " + OneLine(request.directory) + "\n"
      "# Every field: thimble describe study\n\n"
      "teacher { model: " + absolute(request.teacher) + (request.assume_label_order ? " assume_label_order: true" : "") + " }\n"
      "data { directory: " + absolute(request.data) + " task { " + data::MakeTask(request.task).ShortDebugString() + " } train_rows: " +
      std::to_string(request.rows) + " holdout: 0.15 }  # " + std::to_string(rows) + " rows; the held-out ones rank candidates\n\n"
      "# The supernet starts from the teacher's own weights.\n"
      "warmup {\n  sliced { rows: " + std::to_string(effort.rows) + " validate_rows: 100 }\n" + corpus + "}\n\n"
      "# The shape is fixed, the feed-forward blocks are searched. Several values are a choice.\n"
      "space {\n"
      "  hidden: " + std::to_string(hidden) + "  heads: " + std::to_string(shape.heads) + "  layers: " +
      std::to_string(shape.layers.size()) + "  vocabulary: " + std::to_string(shape.vocabulary) + "\n"
      "  embedding { trigram { width: 128 } }\n"
      "  layer {\n"
      "    mixer { self_attention {} }\n"
      "    ffn {\n"
      "      expression { unary: [gelu, sigmoid, tanh, relu, leaky_relu, elu, swish] binary: [add, mul, max] max_height: 5 }\n"
      "      stacks: [1, 2, 3, 4]\n"
      "      ratio: [\"1\", \"1/2\", \"1/3\", \"1/4\"]\n"
      "    }\n"
      "  }\n"
      "}\n"
      "# The teacher has " + Millions(whole) + " parameters.\n"
      "constraint { parameters { min: " + std::to_string(least) + " max: " + std::to_string(budget) + " counting: DEPLOYED } }\n\n"
      "# How a candidate is taught.\n"
      "recipe {\n"
      "  epochs: " + std::to_string(effort.epochs) + "  # of the exported student; stages say their own\n"
      "  batching { max_length: " + std::to_string(length.tokens) + " size: 32 }\n"
      "  objective { loss { attention_scores {} } loss { hidden_states {} } loss { soft_labels {} } }\n"
      "  optimizer { came { learning_rate: 2e-5 } }  # short runs: CAME's early steps are tens of rates long\n"
      "  schedule { linear { warmup_fraction: 0.2 } }\n"
      "}\n"
      "fitness: LOSS  # on held-out rows; far less noisy than accuracy\n\n"
      "# From coarse to fine. A stage fixes what it does not vary to what the stage it comes `from` found best.\n"
      "stage {\n"
      "  name: \"joint\"  vary: [EXPRESSION, STACKS, RATIO]\n"
      "  filter { sliced_score {} keep: " + Decimal(effort.keep, 2) + " }  # of the proposals, by their untrained score\n"
      "  strategy { evolution { population: " + std::to_string(effort.population) + " tournament: 3 } }\n"
      "  evaluator { short_distillation { epochs: 1 } }\n"
      "  trials: " + std::to_string(effort.joint) + "  round: 2\n"
      "}\n"
      "stage {\n"
      "  name: \"operators\"  vary: [EXPRESSION]  from: \"joint\"\n"
      "  filter { sliced_score {} keep: " + Decimal(effort.keep, 2) + " }\n"
      "  strategy { evolution { population: " + std::to_string(effort.population) + " tournament: 3 } }\n"
      "  evaluator { short_distillation { epochs: 1 } }\n"
      "  trials: " + std::to_string(effort.operators) + "  round: 2\n"
      "}\n"
      "stage {\n"
      "  name: \"shape\"  vary: [STACKS, RATIO]  from: \"operators\"\n"
      "  strategy { evolution { population: " + std::to_string(effort.population) + " tournament: 3 } }\n"
      "  evaluator { supernet { epochs: 1 } }  # one training run, then every candidate with its weights\n"
      "  trials: " + std::to_string(effort.shape) + "  round: 8\n"
      "}\n"
      "seed: 1\n";
  proto::Study study;
  ParseText(text, "the new study", &study);
  const search::SpaceContext context{
      .classes = classes, .teacher_hidden = shape.hidden, .head = teacher.model.head};
  search::ValidateStudy(study, context, "the new study");
  if (request.dry_run) {
    std::fputs(text.c_str(), stdout);
    return;
  }
  PendingOutput out(request.directory);
  WriteFileAtomically(out.working() + "/study.textproto", text);
  out.Commit();
  std::printf("%s/study.textproto: hidden %d, %s to %s parameters (teacher %s)\nnext: thimble describe %s, thimble search %s\n",
              request.directory.c_str(), hidden, Millions(least).c_str(), Millions(budget).c_str(), Millions(whole).c_str(),
              request.directory.c_str(), request.directory.c_str());
}

std::function<void()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("directory", request->directory, "study directory to make")->required();
  app.add_option("--task", request->task, "task name")->required();
  app.add_option("--data", request->data, "directory that holds the task's folder")->required();
  app.add_option("--teacher", request->teacher, "teacher directory, with its task head")->required();
  app.add_option("--max-params", request->max_params, "largest student, e.g. 9M; default: 40% of the teacher");
  app.add_option("--rows", request->rows, "first training rows only; 0: all")->check(CLI::NonNegativeNumber);
  app.add_option("--corpus", request->corpus, "text files for distillation on plain text, e.g. 'text/*.txt'");
  app.add_option("--effort", request->effort, "how much the study searches: quick, standard or thorough");
  AddLabelOrder(app, request.get());
  AddForce(app, request.get());
  app.add_flag("--dry-run", request->dry_run, "print the study file, write nothing");
  return [request] { Run(*request); };
}

}  // namespace
}  // namespace of_init

std::function<void()> init_command(CLI::App& app) { return of_init::Add(app); }

}  // namespace thimble::tools
