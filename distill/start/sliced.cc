#include "distill/start/sliced.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>

#include <cmath>
#include <cstdio>
#include <map>
#include <mutex>

#include "base/error.h"
#include "base/log.h"
#include "distill/objective.h"
#include "distill/start/basis.h"
#include "distill/start/cross_validation.h"
#include "distill/start/cut.h"
#include "distill/start/data_base.h"
#include "distill/start/form_cut.h"
#include "distill/start/heads.h"
#include "distill/start/kernel_fit.h"
#include "distill/start/mixer_cut.h"
#include "distill/start/refit.h"
#include "distill/start/sensitivity.h"
#include "distill/start/teacher_record.h"
#include "models/encoder/encoder.h"
#include "models/encoder/experts.h"
#include "models/encoder/kinds.h"
#include "models/encoder/resolve.h"
#include "proto/study.pb.h"

namespace thimble::distill {
namespace {

constexpr char kWhere[] = "sliced start";
constexpr int64_t kEnoughTokens = 4000;  // below it regressions see fewer tokens than ten an unknown
constexpr int64_t kMostTokens = 24576;   // of those that cross-validation chooses from
constexpr double kUsualRidge = 0.01;     // of the refit whose regressions it looks at

// The work here is float32 whatever precision the caller trains in.
struct PlainMode {
  at::NoGradGuard no_grad;
  bool was_on = at::autocast::is_autocast_enabled(at::kCPU);
  PlainMode() { at::autocast::set_autocast_enabled(at::kCPU, false); }
  ~PlainMode() { at::autocast::set_autocast_enabled(at::kCPU, was_on); }
};

// Rotations go through LayerNorm and residual sums of one width.
void CheckNorms(const models::ResolvedArchitecture& shape, const std::string& whose) {
  if (shape.bottleneck > 0)
    throw BadRequest(kWhere, "the " + whose + " has a bottleneck", std::to_string(shape.bottleneck),
                     "layers at the hidden width");
  if (shape.no_norm) throw BadRequest(kWhere, "the " + whose + " has no LayerNorm", "NO_NORM", "LAYER_NORM");
}

void CheckTeacher(const models::ResolvedArchitecture& teacher) {
  CheckNorms(teacher, "teacher");
  if (!models::EntryOf(teacher.embedding).bert) {
    throw BadRequest(kWhere, "the teacher has a " + models::EntryOf(teacher.embedding).name + " embedding",
                     "", "a teacher with a plain embedding, as BERT's");
  }
  if (!teacher.position_table)
    throw BadRequest(kWhere, "the teacher has no position table", "position_table: false", "true");
  for (size_t l = 0; l < teacher.layers.size(); ++l) {
    const models::LayerShape& layer = teacher.layers[l];
    if (!models::IsBerts(models::WithoutHeads(layer.mixer)))
      throw BadRequest(kWhere, "layer " + std::to_string(l) + " of the teacher has another mixer than BERT's",
                       models::TextOf(layer.mixer), "self-attention");
    const std::vector<models::Node>& nodes = layer.expression.nodes();
    bool plain = layer.stacks == 1 && layer.ffn.groups() == 1 && models::Experts(layer.ffn) == 1 &&
                 nodes.size() == 4 && nodes[1].op == models::Operator::kLinear1 &&
                 models::IsUnary(nodes[2].op) && nodes[3].op == models::Operator::kLinear2;
    if (plain) continue;
    throw BadRequest(kWhere, "layer " + std::to_string(l) + " of the teacher is no plain feed-forward block",
                     std::to_string(layer.stacks) + " stacks of " + models::TextOf(layer),
                     "one block linear(f(linear(x,wb1)),wb2) with an activation f");
  }
}

void CheckStudent(const models::ResolvedArchitecture& student, const models::Model& teacher) {
  CheckNorms(student, "student");
  auto same = [](const std::string& what, int of_student, int of_teacher) {
    if (of_student == of_teacher) return;
    throw BadRequest(kWhere, what + " of student and teacher differ", "student " + std::to_string(of_student),
                     "the teacher's, " + std::to_string(of_teacher));
  };
  same("vocabularies", student.vocabulary, teacher.shape.vocabulary);
  if (teacher.classes > 0 && teacher.head == models::TaskHead::kPooled)
    same("pooler widths", student.pooler, teacher.shape.pooler);
}

// Rows that the teacher gives the student head with the fewest.
int64_t HeadRows(const Heads& student, const Heads& teacher) {
  if (student.count % teacher.count == 0) return teacher.width / (student.count / teacher.count);
  auto fewest = static_cast<size_t>(teacher.count);
  for (const auto& shares : ShareHeads(teacher.count, student.count))
    fewest = std::min(fewest, shares.size());
  return static_cast<int64_t>(fewest) * teacher.width;
}

// Weights of `student`, a part of a supernet with `supernet` stacks' widths, that nothing in the teacher
// corresponds to.
std::vector<std::string> Initialised(const models::ResolvedArchitecture& student,
                                     const models::ResolvedArchitecture& supernet,
                                     const models::ResolvedArchitecture& teacher,
                                     const std::vector<int>& layer_map) {
  std::vector<std::string> names;
  if (student.position_table && student.positions > teacher.positions) names.push_back("embedding.position");
  if (student.segments > teacher.segments) names.push_back("embedding.segment");
  const bool narrow = student.projected > 0 || models::EntryOf(student.embedding).narrow;
  if (narrow && student.embedding_width > std::min(student.hidden, teacher.hidden))
    names.push_back("embedding.token");
  int taken = 0;
  for (size_t l = 0; l < student.layers.size(); ++l) {
    std::string layer = "layer." + std::to_string(l);
    const proto::Mixer& mixer = student.layers[l].mixer;
    const std::string scope = models::MixerScope(static_cast<int>(l), mixer);
    if (const MixerCut* cut = CutOf(mixer)) {
      const Heads heads = cut->heads(student, mixer);
      if (heads.width > HeadRows(heads, HeadsOf(teacher, teacher.layers[layer_map[l] - 1].mixer))) {
        names.push_back(scope + ".key.weight");
        names.push_back(scope + ".value.weight");
      }
    } else if (models::SizeOf(student, mixer).context > 0) {
      names.push_back(scope);
    }
    int neurons = teacher.layers[layer_map[l] - 1].width;
    taken = Repeats(layer_map, l) ? taken + supernet.layers[l - 1].stacks : 0;
    for (int stack = 0; stack < student.layers[l].stacks; ++stack) {
      if ((taken + stack) * supernet.layers[l].width + student.layers[l].width <= neurons) continue;
      names.push_back(layer + ".ffn." + std::to_string(stack) + ".up.weight");
    }
  }
  return names;
}

}  // namespace

void CheckSliceable(const models::ResolvedArchitecture& student, const models::Model& teacher) {
  CheckTeacher(teacher.shape);
  CheckStudent(student, teacher);
}

struct SlicedStart::Impl {
  // What depends on the student's width; made once for each.
  struct Projection {
    Basis basis;
    std::vector<Target> fit, held_out;
  };
  models::Model teacher;           // shares the caller's tensors
  std::vector<models::Batch> fit;  // kept while the number of tokens is not chosen
  proto::Sliced options;
  std::vector<int> chosen_layers;
  mutable TeacherRecord record;
  mutable double ridge = 0;
  mutable std::once_flag chosen;
  mutable std::mutex mutex;
  mutable std::map<int, std::unique_ptr<const Projection>> projections;  // by width; entries stay
  mutable std::mutex data_base_mutex;                                    // also of record.sensitivities
  mutable std::map<int, std::unique_ptr<const DataBase>> data_bases;     // likewise

  const Projection& Project(int width) const {
    std::lock_guard<std::mutex> lock(mutex);
    std::unique_ptr<const Projection>& projection = projections[width];
    if (!projection) {
      Basis basis = MakeBasis(record, width);
      projection.reset(
          new Projection{basis, MakeTargets(teacher, record.fit_sums, record.fit_weights, basis),
                         MakeTargets(teacher, record.held_out_sums, record.held_out_weights, basis)});
    }
    return *projection;
  }

  std::vector<BlockFit> Refit(models::Model* student, distill::Refit what,
                              CrossValidation* cross_validation = nullptr) const {
    const Projection& projection = Project(student->shape.hidden);
    std::vector<int> layer_map = TeacherLayers(student->shape);
    return RefitBlocks({record, projection.fit, projection.held_out, layer_map,
                        cross_validation ? kUsualRidge : ridge, what, options.goal(), cross_validation},
                       student);
  }

  models::Model Crop(const models::Model& supernet, const proto::Architecture& candidate) const {
    const std::vector<int> layer_map = TeacherLayers(supernet.shape);
    return CropToForm(supernet, candidate, [&](int layer) {
      const Basis& basis = Project(supernet.shape.hidden).basis;
      return StateOf(MakeReader(record.states[NormBeforeBlock(layer_map, layer)], basis.directions),
                     basis.embed);
    });
  }

  // Of the layers' mixers, and of those beside them.
  void FitKernels(models::Model* student) const {
    if (options.kernel_steps() == 0) return;
    const Projection& projection = Project(student->shape.hidden);
    const std::vector<int> layer_map = TeacherLayers(student->shape);
    double before = 0, after = 0;
    int fits = 0;
    const auto fit = [&](size_t layer, const proto::Mixer& mixer) {
      const MixerCut* cut = CutOf(mixer);
      std::vector<std::string> weights;
      if (cut != nullptr)
        for (const std::string& part : cut->kernel)
          if (const auto name = models::MixerScope(static_cast<int>(layer), mixer) + "." + part;
              student->weights.Has(name))
            weights.push_back(name);
      if (weights.empty()) return;
      const int norm = NormBeforeMixer(layer_map, layer);
      const KernelFit done =
          FitKernel({static_cast<int>(layer), mixer, weights, record.fit, record.held_out,
                     projection.fit[norm].state, projection.held_out[norm].state, options.kernel_steps()},
                    student);
      before += done.before;
      after += done.after;
      ++fits;
    };
    for (size_t layer = 0; layer < student->shape.layers.size(); ++layer) {
      fit(layer, student->shape.layers[layer].mixer);
      for (const proto::Mixer& mixer : student->shape.layers[layer].beside) fit(layer, mixer);
    }
    if (fits == 0) return;
    char text[160];
    std::snprintf(text, sizeof text,
                  "sliced start: features of %d mixer%s fitted, divergence from softmax attention %.3f -> "
                  "%.3f nats a token",
                  fits, fits == 1 ? "" : "s", before / fits, after / fits);
    Info(text);
  }

  const DataBase& Base(int width) const {
    std::lock_guard<std::mutex> lock(data_base_mutex);
    std::unique_ptr<const DataBase>& kept = data_bases[width];
    if (kept) return *kept;
    if (record.sensitivities.empty()) record.sensitivities = Means(Sensitivity(teacher, record.fit));
    const Projection& projection = Project(width);
    kept = std::make_unique<DataBase>(
        MakeDataBase({teacher, record, projection.basis, projection.fit, projection.held_out,
                      ridge == 0 ? kUsualRidge : ridge, options}));
    return *kept;
  }

  // Ridge and tokens, if they are to be chosen: by the regressions of a refit of `student`.
  void Choose(const models::Model& student) const {
    if (options.ridge() > 0 && options.tokens() > 0) return;
    std::call_once(chosen, [&] {
      CrossValidation cross_validation(record.fit);
      models::Model copy = student;
      copy.weights = student.weights.Clone();
      Refit(&copy, Refit::kAll, &cross_validation);
      if (cross_validation.empty()) {  // no variance, or no linear of a plain block
        if (options.ridge() == 0) ridge = kUsualRidge;
        return;
      }
      if (options.ridge() == 0) ridge = cross_validation.Ridge();
      std::string unexplained;
      for (const double each : CrossValidation::kRidges) {
        char text[64];
        std::snprintf(text, sizeof text, "%s%g at %g", unexplained.empty() ? "" : ", ",
                      std::round(1e4 * cross_validation.Unexplained(each)) / 1e4, each);
        unexplained += text;
      }
      const int64_t had = record.fit.tokens;
      if (options.tokens() == 0) {
        const int64_t tokens = cross_validation.Tokens(ridge);
        if (tokens < had) {
          std::lock_guard<std::mutex> lock(mutex);
          Resample(teacher, fit, tokens, options.weigh_tokens(), &record);
          projections.clear();
        }
      }
      char text[128];
      std::snprintf(text, sizeof text,
                    "sliced start: ridge %g on %lld of %lld tokens by cross-validation (unexplained ", ridge,
                    static_cast<long long>(record.fit.tokens), static_cast<long long>(had));
      Info(text + unexplained + ")");
    });
  }

  std::vector<int> TeacherLayers(const models::ResolvedArchitecture& student) const {
    const auto ours = static_cast<int>(student.layers.size()),
               theirs = static_cast<int>(teacher.shape.layers.size());
    return chosen_layers.empty() ? NearestLayers(ours, theirs) : LayerMap(ours, theirs, chosen_layers);
  }
};

SlicedStart::SlicedStart(const models::Model& teacher, const std::vector<models::Batch>& fit,
                         const std::vector<models::Batch>& held_out, const proto::Sliced& options,
                         std::vector<int> layer_map)
    : impl_(std::make_unique<Impl>()) {
  THIMBLE_CHECK(!fit.empty() && !held_out.empty(), "the sliced start needs rows to fit and rows to judge by");
  CheckTeacher(teacher.shape);
  PlainMode mode;
  impl_->teacher = teacher;
  impl_->options = options;
  impl_->ridge = options.ridge();
  impl_->chosen_layers = std::move(layer_map);
  if (options.tokens() == 0) impl_->fit = fit;
  impl_->record = Record(teacher, fit, held_out, options.tokens() > 0 ? options.tokens() : kMostTokens,
                         options.weigh_tokens());
  if (options.refit() && impl_->record.fit.tokens < kEnoughTokens)
    Warn("the sliced start's sample has only " + std::to_string(impl_->record.fit.tokens) +
         " tokens: refits are judged on too little to be trusted; give it more rows");
}

SlicedStart::~SlicedStart() = default;

models::Model SlicedStart::MakeSupernet(const proto::Architecture& largest, uint64_t seed,
                                        bool sort_heads) const {
  PlainMode mode;
  const models::Model& teacher = impl_->teacher;
  models::ResolvedArchitecture shape = models::Resolve(largest);
  CheckStudent(shape, teacher);
  std::vector<int> layer_map = impl_->TeacherLayers(shape);
  Random random(seed);
  models::Model student =
      models::MakeModel(largest, teacher.classes, teacher.shape.hidden, random, teacher.head);
  const Orders& orders =
      impl_->options.surgeon() ? impl_->Base(shape.hidden).orders : impl_->record.by_output;
  CutTeacher(teacher, impl_->record, orders, impl_->Project(shape.hidden).basis, layer_map,
             {impl_->options.weigh_scores(), sort_heads}, &student, random.Fork("unused"));
  impl_->FitKernels(&student);
  impl_->Refit(&student, Refit::kNormsOnly);
  impl_->Choose(student);
  return student;
}

models::Model SlicedStart::MakeCandidate(const models::Model& supernet, const proto::Architecture& candidate,
                                         SlicedReport* report) const {
  PlainMode mode;
  models::Model student = impl_->Crop(supernet, candidate);
  CheckStudent(student.shape, impl_->teacher);
  impl_->Choose(student);
  std::vector<BlockFit> blocks =
      impl_->Refit(&student, impl_->options.refit() ? Refit::kAll : Refit::kNothing);
  if (report) {
    *report = {std::move(blocks), Initialised(student.shape, supernet.shape, impl_->teacher.shape,
                                              impl_->TeacherLayers(student.shape))};
  }
  return student;
}

Damages SlicedStart::DamagesAt(int width) const {
  PlainMode mode;
  const Damages& damages = impl_->Base(width).damages;
  if (impl_->record.sensitivities.empty())
    throw BadRequest(kWhere, "what its answers depend on is not known of this teacher", "no head for a task",
                     "a teacher with a task head (thimble finetune DIR --task TASK)");
  return damages;
}

std::vector<CapturedVariance> SlicedStart::Captured(int width) const {
  PlainMode mode;
  const TeacherRecord& record = impl_->record;
  const int64_t kept = std::min<int64_t>(width, record.directions.size(0));
  const at::Tensor shared = record.directions.slice(0, 0, kept);
  std::vector<CapturedVariance> captured;
  for (size_t norm = 0; norm < record.states.size(); ++norm) {
    const at::Tensor& covariance = record.states[norm].covariance;
    const double all = covariance.diagonal().sum().item<double>();
    std::string name = "embedding";
    if (norm > 0) name = "layer." + std::to_string((norm - 1) / 2) + (norm % 2 ? ".attention" : ".ffn");
    captured.push_back({name, (shared.matmul(covariance) * shared).sum().item<double>() / all,
                        at::linalg_eigvalsh(covariance).slice(0, -kept).sum().item<double>() / all});
  }
  return captured;
}

}  // namespace thimble::distill
