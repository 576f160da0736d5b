// thimble evaluate MODEL... --task mrpc --data glue/ [--latency]
#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "tools/common.h"

namespace thimble::tools {
namespace {

struct Request : Options {
  std::vector<std::string> models, names;
  std::string task, data;
  bool latency = false;
};

void Run(const Request& request) {
  const auto& task = data::FindTask(request.task);
  const auto deployment = MakeDeployment(request);
  std::vector<ModelRow> rows;
  if (!request.names.empty() && request.names.size() != request.models.size())
    throw BadRequest("--name", "one for each model, or none", std::to_string(request.names.size()),
                     std::to_string(request.models.size()));
  for (size_t i = 0; i < request.models.size(); ++i)
    rows.push_back({.name = request.names.empty() ? request.models[i] : request.names[i], .directory = request.models[i]});
  std::fputs(CompareModels(rows, task, request.data, task.dev, request.latency, deployment.threads()).c_str(), stdout);
}

std::function<void()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("models", request->models, "one or more model directories")->required();
  app.add_option("--name", request->names, "what to call a model in the table; once for each model")->take_all()->allow_extra_args(false);
  app.add_option("--task", request->task, "task name")->required();
  app.add_option("--data", request->data, "directory that holds the task's folder")->required();
  app.add_flag("--latency", request->latency, "measure latency too: batch 1, 128 tokens, 1 thread");
  AddDeployment(app, request.get());
  return [request] { Run(*request); };
}

}  // namespace

CommandEntry evaluate_command() { return {"evaluate", "Official metrics of models on a task's dev set", Add}; }

}  // namespace thimble::tools
