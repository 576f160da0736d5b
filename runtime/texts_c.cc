#include "runtime/texts_c.h"

#include <cmath>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "runtime/prediction_json.h"
#include "runtime/texts.h"

using nlohmann::json;
using thimble::BadRequest;
using thimble::runtime::Kind;

struct thimble_texts {
  thimble::runtime::Texts texts;
  int outputs = 0;  // of a window or of each of its tokens
  std::string directory, about;
};

struct thimble_rows {
  thimble::runtime::ReadTexts read;
  std::string windows, predictions;
};

namespace {

thread_local std::string last_error;

int CodeOf(const std::function<void()>& body) {
  try {
    body();
    return thimble::kDone;
  } catch (const thimble::Error& error) {
    last_error = error.what();
    return error.code();
  } catch (const json::exception& error) {
    last_error = std::string("not the JSON that this call takes: ") + error.what();
    return thimble::kBadRequest;
  } catch (const std::exception& error) {
    last_error = error.what();
    return thimble::kFailed;
  }
}

std::string Dump(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

const char* NameOf(Kind kind) {
  switch (kind) {
    case Kind::kClassification:
      return "classification";
    case Kind::kRegression:
      return "number";
    case Kind::kSpan:
      return "answers";
    case Kind::kMultiLabel:
      return "labels";
  }
  return "";
}

std::unique_ptr<thimble_texts> Open(const json& request) {
  const std::string directory = request.at("directory");
  const int outputs = request.at("outputs");
  const auto head = request.at("tokens").get<bool>() ? thimble::models::TaskHead::kTokens
                                                     : thimble::models::TaskHead::kPooled;
  constexpr int kStartAndEnd = 2;
  if (head == thimble::models::TaskHead::kTokens && outputs != 0 && outputs != kStartAndEnd)
    throw BadRequest(directory, "the graph gives each token another number of outputs",
                     std::to_string(outputs), "2: start and end of an answer");
  const thimble::runtime::Options options{.max_length = request.at("max_length"),
                                          .assume_label_order = request.at("assume_label_order")};
  std::unique_ptr<thimble_texts> texts(
      new thimble_texts{.texts = {thimble::runtime::ReadFacts(directory, outputs, head), options},
                        .outputs = outputs,
                        .directory = directory,
                        .about = ""});
  const auto& of = texts->texts;
  texts->about = Dump({{"kind", NameOf(of.kind())},
                       {"labels", of.labels()},
                       {"unanswerable", of.unanswerable()},
                       {"max_length", of.max_length()}});
  return texts;
}

thimble_rows Read(const thimble_texts& texts, const json& inputs) {
  std::vector<thimble::runtime::Input> list;
  for (const json& texts_of : inputs) {
    if (texts_of.empty() || texts_of.size() > 2) throw BadRequest("inputs", "an input is one text or two");
    thimble::runtime::Input input{.first = texts_of[0]};
    if (texts_of.size() == 2) input.second = texts_of[1];
    list.push_back(std::move(input));
  }
  thimble_rows rows{.read = texts.texts.Read(list), .windows = "", .predictions = ""};
  json windows = json::array();
  for (const auto& example : rows.read.windows.examples) windows.push_back({example.ids, example.segments});
  rows.windows = Dump(windows);
  return rows;
}

void Predict(const thimble_texts& texts, const float* logits, int64_t count, thimble_rows* rows) {
  if (!rows->predictions.empty()) throw BadRequest("rows", "have their predictions already");
  const bool tokens = texts.texts.kind() == Kind::kSpan;
  std::vector<std::vector<double>> of_windows;
  int64_t at = 0;
  for (const auto& example : rows->read.windows.examples) {
    const int64_t own = texts.outputs * (tokens ? static_cast<int64_t>(example.ids.size()) : 1);
    if (at + own > count) throw BadRequest("logits", "are too few", std::to_string(count));
    of_windows.emplace_back(logits + at, logits + at + own);
    for (const double value : of_windows.back())
      if (!std::isfinite(value))
        throw thimble::WorkFailed(
            texts.directory + ", input " +
                std::to_string(rows->read.InputOf(static_cast<int>(of_windows.size()) - 1) + 1),
            "the model says NaN or infinity");
    at += own;
  }
  if (at != count) throw BadRequest("logits", "are too many", std::to_string(count), std::to_string(at));
  const thimble::runtime::PredictionOf of{texts.texts.kind(), texts.texts.labels(),
                                          texts.texts.unanswerable()};
  json out = json::array();
  for (const auto& prediction : texts.texts.Predictions(std::move(rows->read), of_windows))
    out.push_back(PredictionJson(of, prediction));
  rows->predictions = Dump(out);
}

}  // namespace

const char* thimble_texts_version() { return THIMBLE_VERSION; }
const char* thimble_texts_error() { return last_error.c_str(); }

int thimble_texts_open(const char* request, thimble_texts** texts) {
  return CodeOf([&] { *texts = Open(json::parse(request)).release(); });
}
const char* thimble_texts_about(const thimble_texts* texts) { return texts->about.c_str(); }
void thimble_texts_free(thimble_texts* texts) { delete texts; }

int thimble_texts_read(const thimble_texts* texts, const char* inputs, thimble_rows** rows) {
  return CodeOf([&] { *rows = new thimble_rows(Read(*texts, json::parse(inputs))); });
}
const char* thimble_rows_windows(const thimble_rows* rows) { return rows->windows.c_str(); }
int thimble_rows_predict(const thimble_texts* texts, thimble_rows* rows, const float* logits, int64_t count) {
  return CodeOf([&] { Predict(*texts, logits, count, rows); });
}
const char* thimble_rows_predictions(const thimble_rows* rows) { return rows->predictions.c_str(); }
void thimble_rows_free(thimble_rows* rows) { delete rows; }
