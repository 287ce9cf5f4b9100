#include "agent/cli/inject.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <iostream>

#include "agent/cli/command_line.h"
#include "agent/cli/inject_mesh.h"
#include "agent/cli/injector.h"
#include "agent/cli/input.h"

namespace sallyport::cli {
namespace {

bool write_output(const std::string& path, const std::string& text) {
  if (path.empty()) return static_cast<bool>(std::cout << text << std::flush);
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  return static_cast<bool>(file << text << std::flush);
}

struct InjectFlags {
  std::vector<std::string> files;
  std::string output, mesh_config;
  bool verbose = false;
  InjectOptions options;
};

int failed(const std::string& reason) {
  std::fprintf(stderr, "sallyport inject: %s\n", reason.c_str());
  return 1;
}

// The mesh's settings: of the file that a flag names, else of the ConfigMap istio-system/istio
// among the manifests. Why not, if not.
std::optional<std::string> find_mesh_settings(InjectFlags& flags,
                                              const std::vector<std::string>& texts) {
  if (!flags.mesh_config.empty()) {
    const auto text = read_input(flags.mesh_config);
    if (!text) return text.error().context;
    auto found = mesh_settings_of_file(*text, flags.mesh_config);
    if (!found) return found.error().context;
    flags.options.mesh = std::move(*found);
    return std::nullopt;
  }
  for (std::size_t i = 0; i < texts.size(); ++i) {
    auto found = mesh_settings_among(texts[i], flags.files[i]);
    if (!found) return found.error().context;
    if (*found) flags.options.mesh = std::move(**found);
  }
  return std::nullopt;
}

}  // namespace

int run_inject(int argc, char** argv) {
  CLI::App app(
      "Adds the init container and the sidecar to the pod templates of Kubernetes manifests.",
      "sallyport inject");
  InjectFlags flags;
  app.add_option("-f,--filename", flags.files, "manifests; - is stdin")->required();
  app.add_option("-o,--output", flags.output, "a file instead of stdout");
  app.add_option("--image", flags.options.image, "the sidecar's image")->capture_default_str();
  app.add_option(
      "--meshConfigFile", flags.mesh_config,
      "MeshConfig, or the ConfigMap istio with key mesh: its defaultConfig lies under the "
      "pods' proxy.istio.io/config (else of the ConfigMap istio-system/istio, if that is "
      "among the manifests)");
  app.add_flag("-v,--verbose", flags.verbose, "say for each pod template what was done");
  app.footer(
      "\nExamples:\n"
      "    sallyport inject -f deployment.yaml | kubectl apply -f -\n"
      "    sallyport inject --meshConfigFile mesh.yaml -f deployment.yaml | kubectl apply -f -\n"
      "    kubectl get deployment sleep -o yaml | sallyport inject -v -f - -o injected.yaml");
  if (const auto code = parse(app, argc, argv)) return *code;

  std::vector<std::string> texts(flags.files.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    auto text = read_input(flags.files[i]);
    if (!text) return failed(text.error().context);
    texts[i] = std::move(*text);
  }
  if (const auto problem = find_mesh_settings(flags, texts)) return failed(*problem);
  std::string all;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    auto injected = inject(texts[i], flags.files[i], flags.options);
    if (!injected) return failed(injected.error().context);
    for (const std::string& warning : injected->warnings)
      std::fprintf(stderr, "sallyport inject: warning: %s\n", warning.c_str());
    for (const std::string& note : injected->notes) {
      if (flags.verbose) std::fprintf(stderr, "%s\n", note.c_str());
    }
    if (!all.empty() && texts.size() > 1)
      all += (all.ends_with('\n') ? "" : "\n") + std::string("---\n");
    all += injected->text;
  }
  if (!write_output(flags.output, all)) return failed("the output can't be written");
  return 0;
}

}  // namespace sallyport::cli
