// thimble describe my-study | FILE | MODEL | ARCHITECTURE.textproto | optimizer came | loss | task | ...
#include <google/protobuf/descriptor.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>

#include "base/config.h"
#include "base/error.h"
#include "base/files.h"
#include "base/spelling.h"
#include "data/readers/table.h"
#include "distill/objective.h"
#include "models/encoder/cost.h"
#include "models/encoder/kinds.h"
#include "models/encoder/resolve.h"
#include "models/hub/pretrained.h"
#include "models/latency.h"
#include "optim/optimizer.h"
#include "proto/recipe.pb.h"
#include "proto/study.pb.h"
#include "search/controller.h"
#include "search/evaluator.h"
#include "search/space.h"
#include "tools/command.h"
#include "tools/layer_text.h"
#include "tools/options.h"
#include "tools/quantities.h"
#include "tools/run/loss_table.h"
#include "tools/run/sliced_report.h"
#include "tools/shell/reference.h"
#include "tools/study/study_context.h"
#include "tools/study/study_file.h"
#include "tools/table.h"

namespace thimble::tools {
namespace of_describe {
namespace {

std::string MixerText(const proto::Mixer& mixer) {
  return models::IsBerts(mixer) ? "attention" : models::TextOf(mixer);
}

struct Request : Options {
  std::vector<std::string> what;
  int batch = 32, length = 128;
  bool latency = false, reference = false;
};

// Messages that can be described by name, and the oneof that lists a catalogue's entries.
const std::map<std::string, const google::protobuf::Descriptor*>& Topics() {
  static const std::map<std::string, const google::protobuf::Descriptor*> topics = {
      {"study", proto::Study::descriptor()},
      {"space", proto::Space::descriptor()},
      {"architecture", proto::Architecture::descriptor()},
      {"recipe", proto::Recipe::descriptor()},
      {"stage", proto::Stage::descriptor()},
      {"optimizer", proto::Optimizer::descriptor()},
      {"schedule", proto::Schedule::descriptor()},
      {"loss", proto::Loss::descriptor()},
      {"task", proto::Task::descriptor()},
      {"strategy", proto::Strategy::descriptor()},
      {"evaluator", proto::Evaluator::descriptor()},
      {"filter", proto::Filter::descriptor()},
      {"proxy", proto::Proxy::descriptor()},
      {"embedding", proto::Embedding::descriptor()},
      {"constraint", proto::Constraint::descriptor()},
      {"warmup", proto::Warmup::descriptor()},
      {"data", proto::Data::descriptor()}};
  return topics;
}

void DescribeMessage(const google::protobuf::Descriptor& descriptor) {
  const std::string comment = CommentOf(descriptor.full_name());
  std::printf("%s%s%s\n%s", descriptor.name().c_str(), comment.empty() ? "" : ": ", comment.c_str(),
              DescribeFields(descriptor).c_str());
}

void DescribeTopic(const std::vector<std::string>& what) {
  const auto* descriptor = Topics().at(what[0]);
  if (what.size() == 1) {
    DescribeMessage(*descriptor);
    return;
  }
  const auto* field = descriptor->FindFieldByName(what[1]);
  if (field == nullptr || field->message_type() == nullptr) {
    std::vector<std::string> names;
    for (int i = 0; i < descriptor->field_count(); ++i)
      if (descriptor->field(i)->message_type() != nullptr) names.push_back(descriptor->field(i)->name());
    throw BadRequest("describe " + what[0], "no such entry", what[1],
                     data::Joined(names) + DidYouMean(what[1], names));
  }
  DescribeMessage(*field->message_type());
  if (what[0] == "optimizer")
    for (const auto& entry : optim::Optimizers())
      if (entry.name == what[1]) std::printf("  state: %s\n", entry.state_bytes.c_str());
}

void DescribeStudy(const StudyFile& file) {
  const auto& study = file.study;
  const auto context = ContextOf(study, file.directory);
  search::ValidateStudy(study, context, file.path);
  const auto largest = search::LargestArchitecture(study.space(), context);
  const auto seed = search::SeedArchitecture(study.space(), context);
  std::printf("study %s: task %s, teacher %s (hidden %d)\n\n", file.path.c_str(),
              data::FindTask(study.data().task(), study.data().directory()).name.c_str(),
              study.teacher().model().c_str(), context.teacher_hidden);
  const bool paper =
      study.constraint_size() > 0 && study.constraint(0).parameters().counting() == proto::PAPER;
  const auto list = [](const auto& values) {
    std::string text;
    for (const int value : values) text += (text.empty() ? "" : " or ") + std::to_string(value);
    return text;
  };
  std::printf("space: hidden %s, %d heads, %s layers, counting %s\n", list(study.space().hidden()).c_str(),
              study.space().heads(), list(study.space().layers()).c_str(),
              paper ? "PAPER (with the training-only projection, without pooler and head)"
                    : "DEPLOYED (what is exported)");
  std::vector<std::vector<std::string>> table = {{"choice", "parameters"}};
  auto shape = models::Resolve(largest);
  table.push_back(
      {"embedding" + std::string(paper ? " and projection" : ""),
       Millions(models::EmbeddingParameters(shape) +
                (paper ? (shape.hidden + 1) * static_cast<int64_t>(context.teacher_hidden) : 0))});
  const auto choices = search::LayerChoices(study.space(), 0);
  for (const auto& mixer : choices.mixer())
    table.push_back({MixerText(mixer) + ", one layer", Millions(models::MixerParameters(shape, mixer))});
  for (const auto& row : FeedForwardChoices(study.space(), shape)) table.push_back(row);
  std::fputs(Table(table).c_str(), stdout);
  const auto teacher_layers = TeacherLayers(study);
  if (teacher_layers > 0)
    std::printf("\nwhat the student learns from:\n%s",
                LossTable(study.recipe().objective(), study.space().layers(0), teacher_layers).c_str());
  std::printf("\nstages:\n");
  for (const auto& one : search::TargetStudies(study)) {
    // What a later stage fixes is known only when it runs: any feasible candidate of the first stage stands
    // for it.
    auto base = seed;
    for (const auto& stage : one.stage()) {
      const search::StageSpace space(one, stage, base, context);
      if (&stage == &one.stage(0)) {
        Random random = Random(study.seed()).Fork("describe");
        if (const auto sampled = space.Sample(&random)) base = *sampled;
      }
      const auto counts = space.CountFeasible();
      std::printf(
          "  %s: %d trials in rounds of %s%d%s", stage.name().c_str(), stage.trials(),
          search::EntryOf(stage.evaluator()).round == nullptr ? "" : "up to ", search::RoundSize(stage, 0),
          stage.has_filter() ? (", " + Decimal(1 / stage.filter().keep(), 1) + " proposals for each").c_str()
                             : "");
      if (space.varies(proto::Stage::EXPRESSION)) std::printf("; expressions vary");
      if (stage.vary_size() > (space.varies(proto::Stage::EXPRESSION) ? 1 : 0))
        std::printf("; %s%s feasible of %s points%s", counts.exact ? "" : "at least ",
                    Grouped(counts.feasible).c_str(), Grouped(counts.points).c_str(),
                    counts.others > 0 ? " by the tightest constraint" : "");
      std::printf("\n");
      if (&stage != &one.stage(one.stage_size() - 1)) continue;
      const bool whole = counts.largest >= 1000;
      std::printf("%s: %s to %s\n", counts.cost.c_str(),
                  whole ? Millions(static_cast<int64_t>(counts.smallest)).c_str()
                        : Decimal(counts.smallest, 2).c_str(),
                  whole ? Millions(static_cast<int64_t>(counts.largest)).c_str()
                        : Decimal(counts.largest, 2).c_str());
    }
  }
}

void PrintNames(const char* what, const std::vector<std::string>& names) {
  for (const std::string& name : names) std::printf("  %s: %s\n", what, name.c_str());
}

// What LoadPretrained made of the files. A missing encoder weight does not come so far: it is an error.
void DescribeLoading(const models::Pretrained& loaded) {
  std::printf(
      "weights: %s, %zu %s (%s), model type %s; %d tensors loaded, %zu unused, %zu drawn anew, none "
      "missing\n",
      loaded.format.c_str(), loaded.files.size(), loaded.files.size() == 1 ? "file" : "files",
      data::Joined(loaded.files).c_str(), loaded.model_type.c_str(), loaded.loaded, loaded.unused.size(),
      loaded.initialised.size());
  PrintNames("unused", loaded.unused);
  PrintNames("drawn anew", loaded.initialised);
  PrintNames("note", loaded.notes);
  if (!loaded.label_names.empty())
    std::printf("  labels%s: %s\n", loaded.multi_label ? ", each true or not" : "",
                data::Joined(loaded.label_names).c_str());
  const auto& [read, no_effect, unknown] = loaded.config;
  std::printf("config.json: %zu fields read (%s)\n", read.size(), data::Joined(read).c_str());
  if (!no_effect.empty()) std::printf("  without effect on an answer: %s\n", data::Joined(no_effect).c_str());
  if (!unknown.empty()) std::printf("  ignored, unknown here: %s\n", data::Joined(unknown).c_str());
}

std::string Megabytes(int64_t bytes) { return Decimal(static_cast<double>(bytes) * 1e-6, 1) + " MB"; }

// What it is and, by formula (models/encoder/cost.h), what it costs.
void DescribeShape(const std::string& what, const models::ResolvedArchitecture& shape, int classes,
                   models::TaskHead head, const Request& request) {
  std::printf("%s: %d layers, hidden %d, %d heads, %s embedding", what.c_str(),
              static_cast<int>(shape.layers.size()), shape.hidden, shape.heads,
              models::EntryOf(shape.embedding).name.c_str());
  if (shape.bottleneck > 0)
    std::printf(", bottleneck %d%s", shape.bottleneck,
                shape.share_query_key ? " (queries and keys share one of their own)" : "");
  if (shape.no_norm) std::printf(", no LayerNorm");
  if (classes > 0) std::printf(", head of %d", classes);
  const models::TaskHead read =
      classes > 0 ? head : models::TaskHead::kTokens;  // without a head every state is returned
  std::printf(
      "; %s deployed parameters, %s multiply-adds at length %d%s\n",
      Millions(models::DeployedParameters(shape, classes, head)).c_str(),
      Millions(models::MultiplyAdds(shape, request.length, read)).c_str(), request.length,
      models::LastStates(read) == models::Tokens::kFirst ? " (of the last layer what [CLS] takes)" : "");
  for (size_t i = 0; i < shape.layers.size(); ++i)
    std::printf("  layer %zu: %s%d x %d  %s\n", i, BesidesBerts(shape.layers[i].mixer).c_str(),
                shape.layers[i].stacks, shape.layers[i].width, models::TextOf(shape.layers[i]).c_str());
  const auto files = models::WrittenBytes(shape, classes, head);
  std::printf("files: model.safetensors %s, model.onnx %s, model.int8.onnx %s\n",
              Megabytes(files.safetensors).c_str(), Megabytes(files.onnx).c_str(),
              Megabytes(files.onnx_int8).c_str());
  std::printf(
      "activations in float32: %s kept by a training step of %d rows of %d tokens; inference holds %s at "
      "most for one row\n",
      Megabytes(models::TrainingBytes(shape, request.batch, request.length)).c_str(), request.batch,
      request.length, Megabytes(models::InferenceBytes(shape, 1, request.length, read)).c_str());
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

std::string Percent(double ratio) { return (ratio < 1 ? "" : "+") + Decimal(100 * (ratio - 1), 1) + "%"; }

// What a table of measured parts says of a pass, beside the pass itself: in turn, as a machine's speed
// wanders.
void DescribeLatency(const models::Model& model, const Request& request) {
  constexpr int kRounds = 7, kRuns = 8;
  const int length = std::min(request.length, model.shape.positions);
  std::vector<std::vector<models::PartLatency>> rounds;
  std::vector<double> whole, ratios;
  for (int round = 0; round < kRounds; ++round) {
    const models::Tokens read = models::LastStates(model.head, model.classes);
    rounds.push_back(models::LatencyTable({.length = length, .runs = kRuns}).Parts(model.architecture, read));
    whole.push_back(models::MeasureLatency(model, 1, length, 1, kRuns).median_ms);
    ratios.push_back(models::Sum(rounds.back()) / whole.back());
  }
  std::vector<std::vector<std::string>> table = {{"part", "ms", "times"}};
  auto parts = rounds.front();
  for (size_t i = 0; i < parts.size(); ++i) {
    std::vector<double> times;
    for (const auto& round : rounds) times.push_back(round[i].ms);
    parts[i].ms = Median(times);
    table.push_back({parts[i].part, Decimal(parts[i].ms, 3), std::to_string(parts[i].count)});
  }
  const auto [low, high] = std::minmax_element(ratios.begin(), ratios.end());
  std::printf(
      "latency, one row of %d tokens, 1 thread, float32, on this machine, medians of %d rounds:\n%spredicted "
      "from its parts %s ms, "
      "measured whole %s ms: %s (rounds from %s to %s)\n",
      length, kRounds, Table(table).c_str(), Decimal(models::Sum(parts), 2).c_str(),
      Decimal(Median(whole), 2).c_str(), Percent(Median(ratios)).c_str(), Percent(*low).c_str(),
      Percent(*high).c_str());
}

void DescribeArchitecture(const std::string& path, const Request& request) {
  proto::Architecture architecture;
  ReadText(path, &architecture);
  DescribeShape("architecture " + path, models::Resolve(architecture, path), 0, models::TaskHead::kPooled,
                request);
  std::printf("identity: %s\n", models::ArchitectureHash(architecture).c_str());
  if (request.latency) DescribeLatency(models::MakeModel(architecture, 0, 0, Random(1)), request);
}

// By its header or, without one, by what it can be read as.
bool IsArchitecture(const std::string& path) {
  if (!std::filesystem::is_regular_file(path)) return false;
  const std::string text = ReadFile(path), header = "proto-message: ";
  const size_t place = text.find(header);
  const std::string name = proto::Architecture::descriptor()->full_name();
  if (place != std::string::npos) return text.compare(place + header.size(), name.size(), name) == 0;
  try {
    proto::Architecture architecture;
    ParseText(text, path, &architecture);
    return true;
  } catch (const Error&) {
    return false;
  }
}

void DescribeModel(const std::string& directory, const Request& request) {
  const auto loaded = models::LoadPretrained(directory);
  DescribeShape("model " + directory, loaded.model.shape, loaded.model.classes, loaded.model.head, request);
  if (request.latency) DescribeLatency(loaded.model, request);
  DescribeLoading(loaded);
  std::fputs(SlicedRecordText(directory).c_str(), stdout);
}

void Run(const Request& request) {
  if (request.reference) {
    std::fputs(ReferenceText().c_str(), stdout);
    return;
  }
  if (request.what.empty())
    throw BadRequest("describe", "nothing was named", "",
                     "a study, a model, an architecture, a topic, or --reference");
  if (Topics().count(request.what[0]) > 0 && !std::filesystem::exists(request.what[0])) {
    DescribeTopic(request.what);
    return;
  }
  if (!std::filesystem::exists(request.what[0])) {
    std::string names;
    for (const auto& [name, unused] : Topics()) names += (names.empty() ? "" : ", ") + name;
    throw BadRequest("describe", "neither a study, a model, an architecture nor a topic", request.what[0],
                     "a study directory or file, a model's directory, an architecture's file, or " + names);
  }
  // An exported student holds a copy of its study's file, a study no config.json.
  if (std::filesystem::exists(request.what[0] + "/config.json")) {
    DescribeModel(request.what[0], request);
    return;
  }
  if (IsArchitecture(request.what[0])) {
    DescribeArchitecture(request.what[0], request);
    return;
  }
  DescribeStudy(LoadStudy(request.what[0], request));
}

std::function<void()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("what", request->what,
                 "study directory or file, a model's directory or an architecture's file; or a topic, e.g. "
                 "`optimizer came`")
      ->expected(1, 2);
  app.add_flag("--reference", request->reference, "everything that a text file may hold, as Markdown");
  app.add_option("--batch", request->batch, "of a model or architecture: rows of a training step")
      ->check(CLI::PositiveNumber);
  app.add_option("--length", request->length, "and tokens of a row")->check(CLI::PositiveNumber);
  app.add_flag("--latency", request->latency, "measure its parts, each once, and the whole of it");
  app.add_option("--set", request->set, "override a field of the study: path=value");
  return [request] { Run(*request); };
}

}  // namespace
}  // namespace of_describe

std::function<void()> describe_command(CLI::App& app) { return of_describe::Add(app); }

}  // namespace thimble::tools
