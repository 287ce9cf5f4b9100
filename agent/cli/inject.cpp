#include "agent/cli/inject.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>

#include "agent/cli/command_line.h"
#include "agent/cli/injector.h"

namespace sallyport::cli {
namespace {

bool read_input(const std::string& path, std::string& text) {
  std::ostringstream content;
  if (path == "-") {
    content << std::cin.rdbuf();
  } else {
    std::ifstream file(path, std::ios::binary);
    if (!file) return false;
    content << file.rdbuf();
  }
  text = content.str();
  return true;
}

bool write_output(const std::string& path, const std::string& text) {
  if (path.empty()) return static_cast<bool>(std::cout << text << std::flush);
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  return static_cast<bool>(file << text << std::flush);
}

}  // namespace

int run_inject(int argc, char** argv) {
  CLI::App app(
      "Adds the init container and the sidecar to the pod templates of Kubernetes manifests.",
      "sallyport inject");
  std::vector<std::string> files;
  std::string output;
  InjectOptions options;
  bool verbose = false;
  app.add_option("-f,--filename", files, "manifests; - is stdin")->required();
  app.add_option("-o,--output", output, "a file instead of stdout");
  app.add_option("--image", options.image, "the sidecar's image")->capture_default_str();
  app.add_flag("-v,--verbose", verbose, "say for each pod template what was done");
  app.footer(
      "\nExamples:\n"
      "    sallyport inject -f deployment.yaml | kubectl apply -f -\n"
      "    kubectl get deployment sleep -o yaml | sallyport inject -v -f - -o injected.yaml");
  if (const auto code = parse(app, argc, argv)) return *code;

  std::string all;
  for (const std::string& file : files) {
    std::string text;
    if (!read_input(file, text)) {
      std::fprintf(stderr, "sallyport inject: %s can't be read\n", file.c_str());
      return 1;
    }
    auto injected = inject(text, file, options);
    if (!injected) {
      std::fprintf(stderr, "sallyport inject: %s\n", injected.error().context.c_str());
      return 1;
    }
    for (const std::string& note : injected->notes) {
      if (verbose) std::fprintf(stderr, "%s\n", note.c_str());
    }
    if (!all.empty() && files.size() > 1)
      all += (all.ends_with('\n') ? "" : "\n") + std::string("---\n");
    all += injected->text;
  }
  if (!write_output(output, all)) {
    std::fprintf(stderr, "sallyport inject: the output can't be written\n");
    return 1;
  }
  return 0;
}

}  // namespace sallyport::cli
