#include "agent/cli/inject_probes.h"

#include <charconv>
#include <map>
#include <optional>

#include "agent/cli/yaml_edit.h"

namespace sallyport::cli {
namespace {

struct Place {
  const char* list;  // "lifecycle" or nothing
  const char* key;
  const char* path;
};
constexpr Place places[] = {{"", "readinessProbe", "/app-health/%/readyz"},
                            {"", "livenessProbe", "/app-health/%/livez"},
                            {"", "startupProbe", "/app-health/%/startupz"},
                            {"lifecycle", "preStop", "/app-lifecycle/%/prestopz"},
                            {"lifecycle", "postStart", "/app-lifecycle/%/poststartz"}};

std::optional<uint16_t> number_of(const YAML::Node& value) {
  if (!value.IsDefined() || !value.IsScalar() || value.Tag() == "!") return std::nullopt;
  const std::string& text = value.Scalar();
  uint16_t number = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return number;
}

// A number, or the name of one of the container's own ports.
uint16_t port_of(const YAML::Node& action, const YAML::Node& container, const std::string& what) {
  const YAML::Node port = action["port"];
  if (const auto number = number_of(port)) return *number;
  const std::string name = scalar_of(action, "port");
  const YAML::Node ports = container["ports"];
  for (std::size_t i = 0; ports.IsDefined() && ports.IsSequence() && i < ports.size(); ++i) {
    if (!name.empty() && scalar_of(ports[i], "name") == name) {
      if (const auto number = number_of(ports[i]["containerPort"])) return *number;
    }
  }
  throw BadProbe{action.Mark().line + 1,
                 what + ": the container has no port named \"" + name + "\""};
}

std::string http_headers(const YAML::Node& action) {
  std::string list;
  const YAML::Node headers = action["httpHeaders"];
  for (std::size_t i = 0; headers.IsDefined() && headers.IsSequence() && i < headers.size(); ++i) {
    list += (list.empty() ? "" : ",") + std::string(R"({"name":)") +
            quoted(scalar_of(headers[i], "name")) + R"(,"value":)" +
            quoted(scalar_of(headers[i], "value")) + "}";
  }
  return list.empty() ? "" : R"(,"httpHeaders":[)" + list + "]";
}

std::string optional_text(const YAML::Node& action, const char* key) {
  const std::string text = scalar_of(action, key);
  return text.empty() ? "" : ",\"" + std::string(key) + "\":" + quoted(text);
}

std::string http_action(const YAML::Node& action, const std::string& path, uint16_t port,
                        const std::string& scheme) {
  return "{" + (path.empty() ? "" : R"("path":)" + quoted(path) + ",") + R"("port":)" +
         std::to_string(port) + optional_text(action, "host") +
         (scheme.empty() ? "" : R"(,"scheme":)" + quoted(scheme)) + http_headers(action) + "}";
}

std::string original_of(const std::string& kind, const YAML::Node& action, uint16_t port) {
  if (kind == "httpGet")
    return http_action(action, scalar_of(action, "path"), port, scalar_of(action, "scheme"));
  const std::string number = R"({"port":)" + std::to_string(port);
  if (kind == "tcpSocket") return number + optional_text(action, "host") + "}";
  return number + optional_text(action, "service") + "}";
}

// The handler's replacement: of tcpSocket and grpc nothing but the place is left.
std::string rewritten_of(const std::string& kind, const YAML::Node& action, const std::string& path,
                         uint16_t status_port) {
  if (kind != "httpGet") return http_action(YAML::Node(YAML::NodeType::Map), path, status_port, "");
  const std::string scheme = scalar_of(action, "scheme");
  return http_action(action, path, status_port, scheme == "HTTPS" ? "HTTP" : scheme);
}

template <class Visit>
void each_handler(const YAML::Node& spec, Visit visit) {
  for (const char* list : {"initContainers", "containers"}) {
    const YAML::Node containers = spec[list];
    if (!containers.IsDefined() || !containers.IsSequence()) continue;
    for (const auto& container : containers) {
      const std::string name = scalar_of(container, "name");
      if (name == "istio-proxy") continue;
      for (const Place& place : places) {
        const YAML::Node around = *place.list ? container[place.list] : container;
        if (!around.IsDefined() || !around.IsMap()) continue;
        const YAML::Node owner = around[place.key];
        if (!owner.IsDefined() || !owner.IsMap()) continue;
        std::string path = place.path;
        path.replace(path.find('%'), 1, name);
        for (const char* kind : {"httpGet", "tcpSocket", "grpc"}) {
          const YAML::Node action = owner[kind];
          if (!action.IsDefined() || !action.IsMap()) continue;
          visit(container, owner, std::string(kind), action, path, name + "." + place.key);
          break;
        }
      }
    }
  }
}

}  // namespace

std::vector<AppHandler> app_handlers(const YAML::Node& spec, uint16_t status_port) {
  std::vector<AppHandler> handlers;
  each_handler(
      spec, [&](const YAML::Node& container, const YAML::Node& owner, const std::string& kind,
                const YAML::Node& action, const std::string& path, const std::string& what) {
        const uint16_t port = port_of(action, container, what);
        if (port == status_port) return;
        std::string original = "{\"" + kind + "\":" + original_of(kind, action, port);
        if (const auto timeout = number_of(owner["timeoutSeconds"]); timeout && *timeout != 0)
          original += ",\"timeoutSeconds\":" + std::to_string(*timeout);
        handlers.push_back({.owner = owner,
                            .kind = kind,
                            .path = path,
                            .rewritten = rewritten_of(kind, action, path, status_port),
                            .original = original + "}"});
      });
  return handlers;
}

std::string probers_json(const std::vector<AppHandler>& handlers) {
  std::map<std::string, std::string> by_path;
  for (const AppHandler& handler : handlers) by_path[handler.path] = handler.original;
  std::string json;
  for (const auto& [path, original] : by_path)
    json += (json.empty() ? "{" : ",") + quoted(path) + ":" + original;
  return json.empty() ? json : json + "}";
}

void rewrite_handlers(YamlEdit& edit, const std::vector<AppHandler>& handlers) {
  for (const AppHandler& handler : handlers) {
    if (!edit.replace(handler.owner, handler.kind, "httpGet", handler.rewritten)) {
      throw BadProbe{
          handler.owner.Mark().line + 1,
          handler.path + ": this " + handler.kind + " is laid out in a way that inject can't edit"};
    }
  }
}

std::size_t count_rewritten(const YAML::Node& spec, uint16_t status_port) {
  std::size_t count = 0;
  each_handler(spec, [&](const YAML::Node&, const YAML::Node&, const std::string& kind,
                         const YAML::Node& action, const std::string& path, const std::string&) {
    count += kind == "httpGet" && scalar_of(action, "path") == path &&
             number_of(action["port"]) == status_port;
  });
  return count;
}

}  // namespace sallyport::cli
