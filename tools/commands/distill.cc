// thimble distill TEACHER --architecture FILE --task mrpc --data glue/ --out DIR
// thimble distill TEACHER --architecture FILE --mix mix.textproto --data glue/ --out DIR
// thimble distill TEACHER --architecture FILE --corpus 'text/*.txt' --out DIR    a phase on text, then
// thimble distill TEACHER --student DIR --task mrpc --data glue/ --out DIR2      one that goes on
// thimble distill TEACHER --subnets study.textproto --mix mix.textproto ...      a weight-sharing supernet
#include <CLI/CLI.hpp>
#include <memory>

#include "base/config.h"
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/output_directory.h"
#include "data/corpus.h"
#include "distill/objective.h"
#include "models/encoder/cost.h"
#include "models/encoder/resolve.h"
#include "models/mlm_head.h"
#include "optim/optimizer.h"
#include "proto/recipe.pb.h"
#include "proto/study.pb.h"
#include "tools/quantities.h"
#include "tools/run/loss_table.h"
#include "tools/run/recipes.h"
#include "tools/run/student.h"
#include "tools/run/training.h"
#include "tools/run/training_output.h"
#include "train/batch.h"
#include "train/task_model.h"
#include "train/training_weights.h"

namespace thimble::tools {
namespace of_distill {
namespace {

struct Request : Options {
  StudentRequest student;
  TaskRequest tasks;
  std::string out, recipe;
  std::string corpus;  // pattern of text files
  int lines = 0;
  bool pairs = false;
  std::optional<int> epochs;
};

std::string BeganAs(const StudentRequest& request) {
  if (!request.student.empty()) return "the student in " + request.student + ".";
  return request.random ? "random weights." : "the teacher's own weights, rotated, cut and refitted.";
}

// A head as wide as its teacher's begins as that.
void TakeHead(const models::Model& teacher, models::Model* student) {
  for (const char* name : {"head.weight", "head.bias"})
    if (teacher.weights.at(name).sizes() == student->weights.at(name).sizes())
      student->weights.at(name) = teacher.weights.at(name).clone();
}

void SayAllIsWell(const proto::Objective& objective, const models::ResolvedArchitecture& teacher,
                  const models::ResolvedArchitecture& shape, int classes, models::TaskHead head) {
  std::printf("what the student learns from:\n%s", LossTable(objective, static_cast<int>(shape.layers.size()),
                                                             static_cast<int>(teacher.layers.size()), &shape)
                                                       .c_str());
  Info("all is well: " + Millions(models::DeployedParameters(shape, classes, head)) + " parameters");
}

void WriteMore(const StudentRequest& request, const SlicedRecord& record, const models::Model& model,
               const std::string& directory) {
  train::WriteTrainingWeights(model, directory);
  if (request.student.empty() && !request.random) WriteSlicedRecord(record, directory);
}

// With the head that it was pre-trained with, where a loss compares what the two say of masked tokens.
models::Model TeacherWithMlmHead(const models::Pretrained& teacher, const proto::Objective& objective) {
  const auto compares = [](const distill::LossEntry& entry) { return entry.logits && entry.teacher; };
  std::string compared;  // by the first such loss
  for (const auto& loss : objective.loss())
    if (const auto& entry = distill::EntryOf(loss); compares(entry) && compared.empty())
      compared = entry.name;
  if (compared.empty()) return teacher.model;
  const auto head = models::ReadMlmHead(teacher.directory, teacher.model);
  if (!head)
    throw BadRequest(
        teacher.directory,
        compared +
            " compares what student and teacher say of masked tokens, and the teacher has no "
            "head for these",
        "no cls.predictions.transform.dense.weight",
        "a checkpoint of BertForMaskedLM, or " +
            distill::LossNames([](const distill::LossEntry& e) { return e.logits && !e.teacher; }));
  return models::WithMlmHead(teacher.model, &*head, Random(0));
}

// The standard recipe, without those of its losses that this student cannot have; says which.
proto::Recipe StandardFor(const Request& request, const models::ResolvedArchitecture& student,
                          const models::Model& teacher) {
  auto recipe = DistilRecipe();
  if (!request.recipe.empty()) return recipe;  // says itself what is compared
  proto::Objective fitting = recipe.objective();
  fitting.clear_loss();
  for (const auto& loss : recipe.objective().loss()) {
    proto::Objective alone = recipe.objective();
    alone.clear_loss();
    *alone.add_loss() = loss;
    const auto& entry = distill::EntryOf(loss);
    try {
      if (entry.attention_logits || entry.projections) distill::Objective(alone, student, &teacher, true);
      *fitting.add_loss() = loss;
    } catch (const Error& error) {
      Info("without the loss " + entry.name + " of the standard recipe: " + error.what());
    }
  }
  *recipe.mutable_objective() = fitting;
  return recipe;
}

// One epoch at the rate of the warm-up of EfficientBERT, where nothing else is said.
void RunOnText(const Request& request, const proto::Sliced& sliced) {
  if (!request.tasks.task.empty() || !request.tasks.mix.empty())
    throw BadRequest("--corpus", "a run learns from text or from tasks", "both");
  const OutputDirectory output(request.out, request.force);
  const auto teacher = models::LoadPretrained(request.student.teacher);
  const auto plan = PlanStudent(request.student, teacher);
  const auto shape = models::Resolve(plan.architecture);
  const int positions = std::min(shape.positions, teacher.model.shape.positions);
  auto standard = StandardFor(request, shape, teacher.model);
  optim::SetBaseLearningRate(1e-4, standard.mutable_optimizer());
  standard.mutable_batching()->set_max_length(std::min(128, positions));
  standard.set_epochs(1);
  auto recipe = MakeRecipe(request.recipe, standard, request, request.epochs);
  const bool masked = recipe.batching().has_masking();
  *recipe.mutable_objective() = distill::ObjectiveOnText(recipe.objective(), masked, "--corpus");
  if (recipe.keep() == proto::BEST)
    throw BadRequest("recipe.keep", "the best epoch is told by validation rows, and text has none", "BEST",
                     "LAST");
  // Text has no end that must be read.
  recipe.mutable_batching()->set_max_length(std::min(recipe.batching().max_length(), positions));
  const auto taught_by = masked ? TeacherWithMlmHead(teacher, recipe.objective()) : teacher.model;
  const auto deployment = MakeDeployment(request);
  const auto files = Glob(request.corpus);
  const data::WordPiece tokenizer(request.student.teacher);
  const auto subnets = SubnetsOf(plan, teacher, recipe.seed());
  auto begin = BeginStudent(plan, teacher, recipe, sliced);
  const auto learner = [&] {
    if (!masked) return begin.student.model;
    return models::WithMlmHead(begin.student.model, begin.mlm_head.size() > 0 ? &begin.mlm_head : nullptr,
                               Random(recipe.seed()).Fork("words"));
  };
  auto learning = learner();
  SlicedRecord record;
  TextRun run{.member = subnets.name,
              .view = subnets.view,
              .recipe = recipe,
              .deployment = deployment,
              .text = nullptr,
              .tokenizer = tokenizer,
              .teacher = taught_by,
              .learning = learning,
              .student = begin.student.model,
              .start = begin.start,
              .label_names = begin.student.label_names,
              .settings = begin.student.settings,
              .tokenizer_directory = request.student.teacher,
              .out = request.out,
              .how = "",
              .write_more = [&](const std::string& directory) {
                WriteMore(request.student, record, learning, directory);
              }};
  Check(run);
  if (request.dry_run) {
    return SayAllIsWell(recipe.objective(), teacher.model.shape, shape, teacher.model.classes,
                        teacher.model.head);
  }
  const auto text =
      data::StreamedText({.files = files,
                          .lines = request.lines,
                          .pairs = request.pairs,
                          .max_length = recipe.batching().max_length(),
                          .seed = recipe.seed()},
                         tokenizer, TrainingOutput(request.out).text_cache(), deployment.threads());
  CutStudent(plan, teacher, {&text}, recipe, sliced, deployment.threads(), &record, &begin);
  learning = learner();
  run.text = &text;
  run.how = "Distilled on " + std::to_string(text.size()) + " examples of plain text for " +
            std::to_string(recipe.epochs()) + " epochs from " + BeganAs(request.student);
  TrainOnText(run);
}

void Run(Request request) {
  const auto sliced = TakeSliced(&request);
  if (!request.corpus.empty()) return RunOnText(request, sliced);
  if (request.lines > 0 || request.pairs) throw BadRequest("--lines, --pairs", "are of the text of --corpus");
  auto mix = ReadTasks(request.tasks);
  for (auto& part : mix.parts)
    if (part.teacher.empty()) part.teacher = request.student.teacher;
  const OutputDirectory output(request.out, request.force);
  const Teachers teachers(mix, request.assume_label_order);
  // Of a mix the heads are new, or their own teachers'; what the student comes from may have any.
  const auto teacher = mix.mixed ? models::LoadPretrained(request.student.teacher) : *teachers.loaded(0);
  const auto plan = PlanStudent(request.student, teacher);
  const auto shape = models::Resolve(plan.architecture);
  const auto& narrower = shape.positions < teacher.model.shape.positions ? shape : teacher.model.shape;
  const auto length = LengthOf(mix, teachers, nullptr, narrower);
  auto standard = StandardFor(request, shape, teacher.model);
  standard.mutable_batching()->set_max_length(length.tokens);
  auto recipe = MakeRecipe(request.recipe, standard, request, request.epochs);
  TakeLength(length, &recipe);
  const auto deployment = MakeDeployment(request);
  teachers.RequireVocabulary(shape);
  for (size_t i = 0; i < mix.parts.size(); ++i) {
    const auto& of_task = *teachers.of(i);
    if (of_task.shape.hidden != teacher.model.shape.hidden)
      throw BadRequest(mix.parts[i].teacher,
                       "the teachers of a mix are as wide as " + request.student.teacher,
                       std::to_string(of_task.shape.hidden), std::to_string(teacher.model.shape.hidden));
    distill::Objective(recipe.objective(), shape, &of_task, true);
  }
  const auto data = LoadTasks(mix, request.student.teacher, recipe.batching().max_length(), deployment);
  const auto subnets = SubnetsOf(plan, teacher, recipe.seed());
  auto begin = BeginStudent(plan, teacher, recipe, sliced);
  if (KeepsHead(begin.student, mix))
    train::TakeLabelOrder(*mix.parts[0].task, request.assume_label_order, &begin.student);
  std::vector<models::Pretrained> students;
  SlicedRecord record;
  TrainingRun run{.what = "distilling",
                  .member = subnets.name,
                  .mix = mix,
                  .recipe = recipe,
                  .deployment = deployment,
                  .data = data,
                  .teachers = teachers,
                  .view = subnets.view,
                  .models = {},
                  .start = begin.start,
                  .tokenizer_directory = request.student.teacher,
                  .out = request.out,
                  .how = "Distilled on " + mix.Names() + " for " + std::to_string(recipe.epochs()) +
                         " epochs from " + BeganAs(request.student),
                  .write_more = [&](const std::string& directory) {
                    WriteMore(request.student, record, students[0].model, directory);
                  }};
  const auto add_heads = [&] {
    students = WithHeads(begin.student, mix, recipe.seed(), request.assume_label_order);
    run.models.clear();
    for (size_t i = 0; i < students.size(); ++i) {
      if (mix.mixed && !request.student.random) TakeHead(*teachers.of(i), &students[i].model);
      run.models.push_back(&students[i].model);
    }
  };
  add_heads();
  Check(run);
  if (request.dry_run) {
    return SayAllIsWell(recipe.objective(), teacher.model.shape, shape, mix.parts[0].classes(),
                        mix.parts[0].head());
  }
  std::vector<const data::Dataset*> rows;
  for (const auto& task : data) rows.push_back(&task.train);
  CutStudent(plan, teacher, rows, recipe, sliced, deployment.threads(), &record, &begin);
  add_heads();
  TrainAndExport(run);
}

std::function<void()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  auto& student = request->student;
  app.add_option("teacher", student.teacher,
                 "teacher directory, with its task head (of a mix: where the student comes from; parts may "
                 "have teachers of their own; for --corpus without a head as well)")
      ->required();
  app.add_option("--architecture", student.architecture,
                 "text file with an Architecture (proto/architecture.proto)");
  app.add_option("--student", student.student, "instead: go on with the student that an earlier run wrote");
  app.add_option("--subnets", student.subnets,
                 "instead, or with a --student that was made so: study (directory or file) of whose space "
                 "the student is the "
                 "supernet; each batch trains one random feasible candidate");
  AddTasks(app, &request->tasks);
  app.add_option(
      "--corpus", request->corpus,
      "instead of a task: plain text, one line an example, e.g. 'text/*.txt'; losses on labels are left out");
  app.add_option("--lines", request->lines, "of --corpus, the first ones; 0: all")
      ->check(CLI::NonNegativeNumber);
  app.add_flag("--pairs", request->pairs,
               "of --corpus: two runs of sentences an example, half of them following one another");
  app.add_option("--out", request->out, "directory to write")->required();
  app.add_option("--recipe", request->recipe, "recipe file (proto/recipe.proto)");
  app.add_option("--epochs", request->epochs,
                 "passes over the training rows, instead of the recipe's; 0: only the start")
      ->check(CLI::NonNegativeNumber);
  app.add_flag("--random-start", student.random, "start from random weights instead of the teacher's");
  app.add_option("--text", student.sample,
                 "plain text for the sliced start instead of what is learnt from, e.g. 'text/*.txt'");
  AddLabelOrder(app, request.get());
  AddDeployment(app, request.get());
  AddForce(app, request.get());
  AddRecipeOptions(app, request.get());
  return [request] { Run(*request); };
}

}  // namespace
}  // namespace of_distill

std::function<void()> distill_command(CLI::App& app) { return of_distill::Add(app); }

}  // namespace thimble::tools
