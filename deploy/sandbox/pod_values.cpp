#include "deploy/sandbox/pod_values.h"

#include <algorithm>

namespace sallyport::sandbox {
namespace {

using Environment = std::vector<std::pair<std::string, std::string>>;

Error invalid(std::string reason) {
  return {Fault::internal, Side::local, false, std::move(reason), {}};
}

// Labels and annotations as a downward API volume writes them: key="value", one a line (Kubernetes
// quotes as Go does).
std::string as_lines(const StringMap& map) {
  std::string text;
  for (const auto& [key, value] : map) {
    text += key + "=\"";
    for (const char letter : value) {
      if (letter == '"' || letter == '\\') text += '\\';
      if (letter == '\n') {
        text += "\\n";
      } else {
        text += letter;
      }
    }
    text += "\"\n";
  }
  return text;
}

std::string join(const std::vector<std::string>& texts) {
  std::string joined;
  for (const std::string& text : texts) joined += (joined.empty() ? "" : ",") + text;
  return joined;
}

const DataObject* object_of(bool secret, const std::string& name, const Pod& pod,
                            const Manifests& manifests) {
  return find(secret ? manifests.secrets : manifests.config_maps, pod.meta.namespace_name, name);
}

std::string resource_value(const Container& container, const std::string& resource,
                           const PodStatus& status) {
  const bool cpu = resource.ends_with(".cpu");
  const std::string& limit = cpu ? container.cpu_limit : container.memory_limit;
  if (!cpu) return limit.empty() ? "0" : limit;
  if (limit.empty()) return std::to_string(status.processors);
  if (!limit.ends_with("m")) return limit;
  return std::to_string((std::stoul(limit) + 999) /
                        1000);  // rounded up to whole processors, divisor 1
}

Result<std::optional<std::string>> value_of(const EnvVar& variable, const Container& container,
                                            const Pod& pod, const PodStatus& status,
                                            const Manifests& manifests, const Environment& so_far) {
  using Source = EnvVar::Source;
  if (variable.source == Source::literal) return std::optional(expand(variable.value, so_far));
  if (variable.source == Source::resource)
    return std::optional(resource_value(container, variable.key, status));
  if (variable.source == Source::field) {
    auto field = downward_field(pod, status, variable.key);
    if (!field) return field.error();
    return std::optional(*field);
  }
  const bool secret = variable.source == Source::secret_key;
  const DataObject* object = object_of(secret, variable.object, pod, manifests);
  if (object && object->data.count(variable.key))
    return std::optional(object->data.at(variable.key));
  if (variable.optional) return std::optional<std::string>();
  return invalid("env " + variable.name + ": " + (secret ? "Secret " : "ConfigMap ") +
                 variable.object + " has no key " + variable.key);
}

Result<Files> source_files(const VolumeSource& source, const Pod& pod, const PodStatus& status,
                           const Manifests& manifests) {
  using Kind = VolumeSource::Kind;
  Files files;
  if (source.kind == Kind::downward) {
    for (const KeyToPath& item : source.items) {
      auto field = downward_field(pod, status, item.key);
      if (!field) return field.error();
      files[item.path] = *field;
    }
    return files;
  }
  if (source.kind == Kind::token) {
    if (!status.token) return invalid("there are no service accounts' tokens");
    files[source.items.front().path] = status.token(source.object, source.life);
    return files;
  }
  if (source.kind != Kind::config_map && source.kind != Kind::secret) return files;
  const bool secret = source.kind == Kind::secret;
  const DataObject* object = object_of(secret, source.object, pod, manifests);
  if (!object) {
    if (source.optional) return files;
    return invalid(std::string(secret ? "Secret " : "ConfigMap ") + source.object +
                   " doesn't exist in namespace " + pod.meta.namespace_name);
  }
  if (source.items.empty()) files.insert(object->data.begin(), object->data.end());
  for (const KeyToPath& item : source.items) {
    const auto value = object->data.find(item.key);
    if (value != object->data.end()) {
      files[item.path] = value->second;
    } else if (!source.optional) {
      return invalid(std::string(secret ? "Secret " : "ConfigMap ") + source.object +
                     " has no key " + item.key);
    }
  }
  return files;
}

}  // namespace

Result<std::string> downward_field(const Pod& pod, const PodStatus& status,
                                   const std::string& path) {
  const auto subscript = [&](const char* map_path,
                             const StringMap& map) -> std::optional<std::string> {
    const std::string prefix = std::string(map_path) + "['";
    if (!path.starts_with(prefix) || !path.ends_with("']")) return {};
    const auto value = map.find(path.substr(prefix.size(), path.size() - prefix.size() - 2));
    return value == map.end() ? "" : value->second;
  };
  if (path == "metadata.name") return pod.meta.name;
  if (path == "metadata.namespace") return pod.meta.namespace_name;
  if (path == "metadata.uid") return "sandbox-" + pod.meta.namespace_name + "-" + pod.meta.name;
  if (path == "metadata.labels") return as_lines(pod.meta.labels);
  if (path == "metadata.annotations") return as_lines(pod.meta.annotations);
  if (path == "spec.serviceAccountName") return pod.service_account;
  if (path == "spec.nodeName") return status.node_name;
  if (path == "status.hostIP") return status.host_ip;
  if (path == "status.podIP") return status.ips.empty() ? std::string() : status.ips.front();
  if (path == "status.podIPs") return join(status.ips);
  if (const auto label = subscript("metadata.labels", pod.meta.labels)) return *label;
  if (const auto annotation = subscript("metadata.annotations", pod.meta.annotations))
    return *annotation;
  return invalid("fieldPath " + path + ": unknown");
}

std::string expand(const std::string& text, const Environment& environment) {
  std::string expanded;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text.compare(at, 2, "$$") == 0) {
      expanded += '$';
      ++at;
      continue;
    }
    const std::size_t end = text.compare(at, 2, "$(") == 0 ? text.find(')', at) : std::string::npos;
    if (end == std::string::npos) {
      expanded += text[at];
      continue;
    }
    const std::string name = text.substr(at + 2, end - at - 2);
    const auto known = std::find_if(environment.rbegin(), environment.rend(),
                                    [&](const auto& variable) { return variable.first == name; });
    expanded += known == environment.rend() ? text.substr(at, end - at + 1) : known->second;
    at = end;
  }
  return expanded;
}

Result<Environment> environment(const Container& container, const Pod& pod, const PodStatus& status,
                                const Manifests& manifests) {
  Environment variables = {{"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
                           {"HOME", container.security.user.value_or(0) == 0 ? "/root" : "/"},
                           {"HOSTNAME", pod.meta.name}};
  for (const EnvFrom& from : container.env_from) {
    const DataObject* object = object_of(from.secret, from.object, pod, manifests);
    if (!object && !from.optional) return invalid("envFrom: " + from.object + " doesn't exist");
    if (!object) continue;
    for (const auto& [key, value] : object->data) variables.emplace_back(from.prefix + key, value);
  }
  for (const EnvVar& variable : container.env) {
    auto value = value_of(variable, container, pod, status, manifests, variables);
    if (!value) return value.error();
    if (*value) variables.emplace_back(variable.name, **value);
  }
  return variables;
}

Result<std::vector<std::string>> command_line(const Container& container, const Image* image,
                                              const Environment& environment) {
  if (container.command.empty() && !image) {
    return invalid(
        "image " + container.image +
        " is unknown here: give the container a command, or name it in a ConfigMap sandbox-images");
  }
  std::vector<std::string> words = container.command;
  if (words.empty()) words = image->entry_point;
  // A command replaces the image's arguments too (Kubernetes' rule).
  const bool images_arguments = container.args.empty() && container.command.empty();
  const std::vector<std::string>& arguments = images_arguments ? image->arguments : container.args;
  words.insert(words.end(), arguments.begin(), arguments.end());
  for (std::string& word : words) word = expand(word, environment);
  if (words.empty()) return invalid("container " + container.name + ": nothing to run");
  return words;
}

Result<Files> volume_files(const Volume& volume, const Pod& pod, const PodStatus& status,
                           const Manifests& manifests) {
  Files files;
  for (const VolumeSource& source : volume.sources) {
    auto part = source_files(source, pod, status, manifests);
    if (!part) return while_doing("volume " + volume.name, part.error());
    files.merge(*part);
  }
  return files;
}

}  // namespace sallyport::sandbox
