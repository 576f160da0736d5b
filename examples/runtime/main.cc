// label MODEL < ROWS: what the model says of each line, a text or two with a tab between them; then how long
// it took.
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include <thimble/runtime.h>

namespace {

using thimble::runtime::Input;
using thimble::runtime::Kind;

void Run(const std::string& directory) {
  const thimble::runtime::Predictor predictor(directory, {.threads = 1, .batch = 16});
  std::vector<Input> inputs;
  for (std::string line; std::getline(std::cin, line);) {
    const size_t tab = line.find('\t');
    Input input{.first = line.substr(0, tab)};
    if (tab != std::string::npos) input.second = line.substr(tab + 1);
    inputs.push_back(input);
  }
  thimble::runtime::Report report;
  for (const auto& prediction : predictor.Predict(inputs, &report)) {
    if (predictor.kind() == Kind::kClassification) {
      std::printf("%s\t%.6f\n", prediction.label_name.c_str(), prediction.probabilities[prediction.label]);
    } else if (predictor.kind() == Kind::kRegression) {
      std::printf("%.6f\n", prediction.score);
    } else {
      std::printf("%s\n", prediction.answer.c_str());
    }
  }
  std::fprintf(stderr, "%ld rows in %ld batches, %.1f ms\n", static_cast<long>(report.rows),
               static_cast<long>(report.batches), report.tokenize_ms + report.compute_ms);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: label MODEL < ROWS\n");
    return 2;
  }
  try {
    Run(argv[1]);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "label: %s\n", error.what());
    return 1;
  }
}
