#include "tools/run/student.h"

#include "base/config.h"
#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/log.h"
#include "data/corpus.h"
#include "data/text/text_lines.h"
#include "distill/layer_map.h"
#include "distill/start/sliced.h"
#include "models/encoder/resolve.h"
#include "proto/recipe.pb.h"
#include "proto/study.pb.h"
#include "search/space.h"
#include "tools/study/study_file.h"
#include "train/training_weights.h"

namespace thimble::tools {
namespace {

search::SpaceContext Context(const models::Pretrained& teacher) {
  return {.classes = teacher.model.classes,
          .teacher_hidden = teacher.model.shape.hidden,
          .head = teacher.model.head};
}

// The rows that `thimble slice` would take; of several tasks as many of each.
data::Dataset Sample(const std::vector<const data::Dataset*>& all, int rows) {
  const auto some = [&](const data::Dataset& data) {
    const size_t share = std::max<size_t>(1, rows / all.size());
    if (data.corpus) return data.corpus->Block(0, 0).Slice(0, std::min(share, data.corpus->BlockRows(0)));
    return data.Slice(0, std::min(share, data.examples.size()));
  };
  if (all.size() == 1) return some(*all[0]);
  data::Dataset sample;  // text without labels, so that it ends with a part of every task
  std::vector<data::Dataset> parts;
  for (const auto* data : all) parts.push_back(some(*data));
  for (size_t i = 0, added = 1; added > 0; ++i) {
    added = 0;
    for (const auto& part : parts)
      if (i < part.examples.size()) {
        sample.examples.push_back({.ids = part.examples[i].ids, .segments = part.examples[i].segments});
        ++added;
      }
  }
  return sample;
}

Beginning GoOn(const models::Pretrained& earlier, int teacher_hidden, uint64_t seed) {
  Beginning result{.student = earlier};
  const std::string& directory = earlier.directory;
  models::Model& model = result.student.model;
  result.mlm_head = train::ReadTrainingWeights(directory, &model);
  if (model.teacher_hidden == teacher_hidden) return result;
  Info(directory + " holds no projection to this teacher's width: it is drawn at random");
  train::NewProjection(teacher_hidden, Random(seed).Fork("student"), &model);
  return result;
}

// What one that begins here takes over beside weights: the names of the outputs, and how rows are read.
models::Pretrained WithTeachersHead(models::Model model, const models::Pretrained& teacher) {
  return {.model = std::move(model),
          .label_names = teacher.label_names,
          .label_ids = teacher.label_ids,
          .directory = teacher.directory,
          .settings = teacher.settings};
}

}  // namespace

StudentPlan PlanStudent(const StudentRequest& request, const models::Pretrained& teacher) {
  if (request.architecture.empty() == (request.student.empty() && request.subnets.empty()))
    throw BadRequest("--architecture, --student, --subnets", "one of them says what the student is",
                     request.architecture.empty() ? "none" : "several");
  if (request.random && !request.student.empty())
    throw BadRequest("--random-start", "--student says where the student begins");
  models::RequireOneLabel(teacher);
  StudentPlan plan{.request = request};
  auto& architecture = plan.architecture;
  if (!request.student.empty()) {
    plan.earlier = models::LoadPretrained(request.student);
    models::RequireOneLabel(*plan.earlier);
    architecture = plan.earlier->model.architecture;
  }
  if (!request.architecture.empty()) ReadText(request.architecture, &architecture);
  if (!request.subnets.empty()) {
    plan.study = LoadStudy(request.subnets, {}).study;
    search::ValidateSpace(plan.study->space(), request.subnets + ": space");
    if (search::Sections(plan.study->space()).size() > 1)
      throw BadRequest("--subnets", "one supernet holds students of one hidden width, depth and embedding",
                       request.subnets, "a space with one value of each");
    const auto largest = search::LargestArchitecture(plan.study->space(), Context(teacher));
    const auto canonical = [](proto::Architecture all) {  // the weights are the same whatever the expressions
      for (auto& layer : *all.mutable_layer())
        layer.mutable_ffn()->set_expression("linear(gelu(linear(x,wb1)),wb2)");
      return models::CanonicalArchitecture(all);
    };
    if (!request.student.empty() && canonical(architecture) != canonical(largest))
      throw BadRequest(request.student, "is no supernet of the space of " + request.subnets +
                                            ": its architecture is not the largest");
    architecture = largest;
  }
  const std::string where = !request.student.empty()   ? request.student
                            : !request.subnets.empty() ? request.subnets
                                                       : request.architecture;
  const auto shape = models::Resolve(architecture, where);
  if (shape.vocabulary != teacher.model.shape.vocabulary)
    throw BadRequest(where + ": vocabulary", "must be the teacher's", std::to_string(shape.vocabulary),
                     std::to_string(teacher.model.shape.vocabulary));
  if (!request.random && request.student.empty()) distill::CheckSliceable(shape, teacher.model);
  return plan;
}

Beginning BeginStudent(const StudentPlan& plan, const models::Pretrained& teacher,
                       const proto::Recipe& recipe, const proto::Sliced& options) {
  const int hidden = teacher.model.shape.hidden;
  if (plan.earlier) {
    auto begin = GoOn(*plan.earlier, hidden, recipe.seed());
    begin.start.name = "weights " + begin.student.model.weights.Hash();
    if (begin.mlm_head.size() > 0) begin.start.name += ", of words " + begin.mlm_head.Hash();
    return begin;
  }
  if (plan.request.random)
    return {.student =
                WithTeachersHead(models::MakeModel(plan.architecture, teacher.model.classes, hidden,
                                                   Random(recipe.seed()).Fork("student"), teacher.model.head),
                                 teacher),
            .start = {"random weights"}};
  models::Model blank{.architecture = plan.architecture,
                      .shape = models::Resolve(plan.architecture),
                      .classes = teacher.model.classes,
                      .teacher_hidden = hidden,
                      .head = teacher.model.head};
  for (const auto& weight :
       models::WeightShapes(blank.shape, blank.classes > 0 && blank.head == models::TaskHead::kPooled,
                            blank.classes, hidden, blank.head))
    blank.weights.Add(weight.name, at::empty(weight.sizes));
  train::Start start{"cut from the teacher, " + CanonicalText(options)};
  if (const std::string& sample = plan.request.sample; !sample.empty()) {
    start.formerly = start.name + ", text " + sample;  // where it lay
    start.name += ", text " + std::to_string(data::HashFiles(Glob(sample)));
  }
  return {.student = WithTeachersHead(std::move(blank), teacher), .start = start};
}

void CutStudent(const StudentPlan& plan, const models::Pretrained& teacher,
                const std::vector<const data::Dataset*>& rows, const proto::Recipe& recipe,
                const proto::Sliced& options, int threads, SlicedRecord* record, Beginning* begin) {
  const auto& [request, architecture, earlier, study] = plan;
  if (earlier || request.random) return;
  const auto sample = request.sample.empty() ? Sample(rows, options.rows())
                                             : data::TokenizeText(Glob(request.sample), options.rows(),
                                                                  data::WordPiece(request.teacher),
                                                                  recipe.batching().max_length(), threads);
  const auto split = SplitSample(sample, options);
  const distill::SlicedStart start(
      teacher.model, split.fit, split.held_out, options,
      distill::StatedLayers(recipe.objective(), architecture.layer_size(),
                            static_cast<int>(teacher.model.shape.layers.size())));
  record->options = options;
  record->rows = split.rows;
  record->held_out_rows = split.held_out_rows;
  auto student =
      start.MakeCandidate(start.MakeSupernet(architecture, recipe.seed()), architecture, &record->report);
  for (const auto& name : record->report.initialised)
    Info("nothing of the teacher corresponds to " + name + ": drawn at random");
  begin->student.model = std::move(student);
}

Subnets SubnetsOf(const StudentPlan& plan, const models::Pretrained& teacher, uint64_t seed) {
  if (!plan.study) return {"student", nullptr};
  const auto& study = *plan.study;
  if (search::HasForms(study.space()))
    throw BadRequest("--subnets", "a supernet's blocks are dense ones of expressions",
                     "forms in the study's space", "a space without `form`");
  proto::Stage stage;
  stage.set_name("supernet");
  stage.add_vary(proto::Stage::STACKS);
  stage.add_vary(proto::Stage::RATIO);
  const search::StageSpace space(study, stage, search::SeedArchitecture(study.space(), Context(teacher)),
                                 Context(teacher));
  std::string limits = CanonicalText(study.space());
  for (const auto& constraint : study.constraint()) limits += CanonicalText(constraint);
  const Random random = Random(seed).Fork("subnets");
  return {"supernet " + HashHex(limits).substr(0, 16), [space, random](int64_t batch) {
            Random draw = random.Fork("batch", static_cast<uint64_t>(batch));
            const auto sampled = space.Sample(&draw);
            THIMBLE_CHECK(sampled.has_value(), "no feasible candidate to train the supernet with");
            return models::Resolve(*sampled);
          }};
}

}  // namespace thimble::tools
