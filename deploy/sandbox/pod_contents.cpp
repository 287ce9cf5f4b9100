// PodRunner: what its containers are made of, and what is told about them.
#include <filesystem>

#include "deploy/sandbox/pod_runner.h"
#include "deploy/sandbox/volume_dir.h"

namespace sallyport::sandbox {
namespace {

// Volumes that the sandbox fills when the cluster doesn't: `sallyport inject` names them
// (agent/cli/inject.cpp).
constexpr const char* config_volume = "sallyport-config";
constexpr const char* mesh_volume = "sallyport-mesh";

std::string resolver_file(const std::string& namespace_name) {
  std::string text = std::string("nameserver ") + dns_ipv4 + "\n";
  if (has_ipv6()) text += std::string("nameserver ") + dns_ipv6 + "\n";
  return text + "search " + namespace_name +
         ".svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n";
}

std::string hosts_file(const Pod& pod, const PodStatus& status) {
  std::string text = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n";
  for (const std::string& ip : status.ips) text += ip + " " + pod.meta.name + "\n";
  return text;
}

Identity identity_of(const SecurityContext& security) {
  Identity identity;
  identity.user = security.user.value_or(0);
  identity.group = security.group.value_or(identity.user);
  identity.capabilities_added = security.add;
  identity.capabilities_dropped = security.drop;
  identity.privileged = security.privileged;
  identity.no_new_privileges = !security.allow_escalation;
  return identity;
}

std::map<std::string, ServiceAddresses> texts_of(const ServiceIps& ips) {
  std::map<std::string, ServiceAddresses> texts;
  for (const auto& [key, given] : ips) {
    ServiceAddresses& addresses = texts[key];
    for (const IpAddress& ip : given) addresses.cluster_ips.push_back(ip.text());
    if (given.empty()) addresses.cluster_ips.push_back("None");
  }
  return texts;
}

}  // namespace

Result<Files> PodRunner::files_of(const Volume& volume) const {
  auto files = volume_files(volume, pod_, status_, machine_.manifests);
  // Where the sample has not made them, the sandbox makes the two ConfigMaps that a sidecar needs.
  if (!files && (volume.name == config_volume || volume.name == mesh_volume)) files = Files();
  if (!files || !files->empty()) return files;
  if (volume.name == config_volume) {
    *files = config_view(machine_.sources, pod_.meta.namespace_name);
    (*files)["sandbox-services.yaml"] =
        services_with_addresses(machine_.manifests.services, texts_of(machine_.service_ips));
    (*files)["sandbox-pods.yaml"] = machine_.pods_text;
  } else if (volume.name == mesh_volume) {
    const DataObject* mesh = find(machine_.manifests.config_maps, "istio-system", "istio");
    const bool given = mesh && mesh->data.count("mesh");
    (*files)["mesh"] = given ? mesh->data.at("mesh") : "{}\n";
  }
  return files;
}

Result<void> PodRunner::refresh_volumes() {
  for (const Volume& volume : pod_.volumes) {
    auto files = files_of(volume);
    if (!files) return while_doing("pod " + pod_.meta.key(), files.error());
    const bool plain =
        volume.sources.size() == 1 && (volume.sources[0].kind == VolumeSource::Kind::empty_dir ||
                                       volume.sources[0].kind == VolumeSource::Kind::host_path);
    if (plain && files->empty()) continue;
    auto published = publish_files(volume_path(volume.name), *files);
    if (!published) return published.error();
  }
  return {};
}

std::vector<Bind> PodRunner::binds_of(const Container& container) const {
  std::vector<Bind> binds;
  if (!machine_.sallyport.empty())
    binds.push_back({machine_.sallyport, "/usr/local/bin/sallyport", true});
  for (const VolumeMount& mount : container.mounts) {
    std::string source = volume_path(mount.volume);
    for (const Volume& volume : pod_.volumes) {
      const bool host =
          volume.name == mount.volume && volume.sources[0].kind == VolumeSource::Kind::host_path;
      if (host) source = volume.sources[0].object;
    }
    if (!mount.sub_path.empty()) source += "/" + mount.sub_path;
    binds.push_back({source, mount.path, mount.read_only});
  }
  return binds;
}

Result<ContainerSpec> PodRunner::specify(ContainerRun& run) {
  Container container = run.container;
  const Image* image = machine_.images.find(container.image);
  if (!container.security.user && image) container.security.user = image->user;
  auto variables = environment(container, pod_, status_, machine_.manifests);
  if (!variables) return variables.error();
  auto words = command_line(container, image, *variables);
  if (!words) return words.error();

  ContainerSpec spec;
  spec.process.argv = *words;
  for (const auto& [name, value] : *variables)
    spec.process.environment.push_back(name + "=" + value);
  if (!container.working_dir.empty()) spec.process.working_dir = container.working_dir;
  spec.process.identity = identity_of(container.security);
  spec.files = {{"/etc/resolv.conf", resolver_file(pod_.meta.namespace_name)},
                {"/etc/hosts", hosts_file(pod_, status_)},
                {"/etc/hostname", pod_.meta.name + "\n"}};
  if (image) spec.links = image->links;
  spec.binds = binds_of(container);
  spec.read_only_root = container.security.read_only_root;
  run.scratch = spec.scratch = directory_ + "/run" + std::to_string(serial_++);
  std::error_code error;
  std::filesystem::create_directories(spec.scratch, error);
  if (error) return failure("make " + spec.scratch + ": " + error.message());
  return spec;
}

ContainerRun* PodRunner::container(const std::string& name) {
  std::string wanted = name;
  if (wanted.empty()) {
    const auto chosen = pod_.meta.annotations.find("kubectl.kubernetes.io/default-container");
    wanted = chosen == pod_.meta.annotations.end() ? containers_.front()->container.name
                                                   : chosen->second;
  }
  for (const auto* group : {&containers_, &inits_}) {
    for (const auto& run : *group) {
      if (run->container.name == wanted) return run.get();
    }
  }
  return nullptr;
}

int PodRunner::restarts() const {
  int count = 0;
  for (const auto& run : containers_) count += run->restarts;
  return count;
}

std::string PodRunner::failed() const {
  for (const auto* group : {&inits_, &containers_}) {
    for (const auto& run : *group) {
      const bool gone =
          run->phase == ContainerRun::Phase::ended && !pod_.restarts && run->exit_code != 0;
      if (run->failures < failures_max && !gone) continue;
      const std::string log = run->log.from(run->log.end() > 2000 ? run->log.end() - 2000 : 0);
      return "pod " + pod_.meta.key() + ": container " + run->container.name + " ended with " +
             std::to_string(run->exit_code) + " again and again; its log ends:\n" + log;
    }
  }
  return {};
}

std::string PodRunner::state() const {
  if (ready_) return "Ready";
  if (next_init_ < inits_.size()) return "Init:" + inits_[next_init_]->container.name;
  std::string waiting;
  for (const auto& run : containers_) {
    if (!run->ready) waiting += (waiting.empty() ? "" : ",") + run->container.name;
  }
  return "Waiting:" + waiting;
}

}  // namespace sallyport::sandbox
