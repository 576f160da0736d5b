// thimble data check --task mrpc --data glue/ [--tokenizer minilm/] [--max-length 128]
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/parallel.h"
#include "data/check.h"
#include "tools/command.h"
#include "tools/options.h"

namespace thimble::tools {
namespace of_data {
namespace {

struct Request : Options {
  std::string task, data, tokenizer;
  int max_length = 128;
};

void Check(const Request& request) {
  const auto& task = data::FindTask(request.task, request.data);
  std::optional<data::WordPiece> tokenizer;
  if (!request.tokenizer.empty()) tokenizer.emplace(request.tokenizer);
  const auto report = data::CheckData(task, request.data, tokenizer ? &*tokenizer : nullptr,
                                      request.max_length, request.threads > 0 ? request.threads : Cores());
  std::fputs(data::CheckText(task, report, request.max_length).c_str(), stdout);
  if (!report.Clean()) throw Error("the data have bad rows or an empty file; they are listed above");
}

std::function<void()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.require_subcommand(1);
  auto* check =
      app.add_subcommand("check", "Rows, labels, lengths, duplicates and bad rows of a task's files");
  check->add_option("--task", request->task, "task name, or a text file with a message Task")->required();
  check->add_option("--data", request->data, "directory that holds the task's folder")->required();
  check->add_option("--tokenizer", request->tokenizer,
                    "model directory or vocabulary; without it lengths are words");
  check->add_option("--max-length", request->max_length, "tokens that training keeps")
      ->check(CLI::Range(8, 512));
  check->add_option("--threads", request->threads, "threads; 0: all cores");
  return [request] { Check(*request); };
}

}  // namespace
}  // namespace of_data

std::function<void()> data_command(CLI::App& app) { return of_data::Add(app); }

}  // namespace thimble::tools
