#include "agent/cli/explain.h"

#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <ctime>

#include "agent/cli/command_line.h"
#include "agent/cli/explain_identity.h"
#include "agent/cli/explain_live.h"
#include "agent/cli/explain_load.h"
#include "agent/cli/explain_output.h"
#include "agent/cli/explain_question.h"
#include "agent/cli/explain_server.h"
#include "agent/cli/explain_tls.h"
#include "agent/cli/identity.h"
#include "agent/cli/running_proxy.h"
#include "agent/cli/workload_identity.h"
#include "agent/istio/labels.h"

namespace sallyport::cli {
namespace {

constexpr int exit_refused = 1;
// Where the injector mounts them.
constexpr const char* usual_config = "/etc/istio/config";
constexpr const char* usual_admin = "127.0.0.1:15000";
constexpr const char* usual_mesh_config = "/etc/istio/mesh/mesh";

constexpr const char* explain_footer = R"(
Examples:
    kubectl exec POD -c istio-proxy -- sallyport explain --to http://api.example.com/v1
    sallyport explain --to http://api.example.com/ --from sleep rules/ deployment.yaml
    sallyport explain --to https://api.example.com/ --namespace shop --labels app=cart rules/
    sallyport explain --to tcp://db.example.com:5432 --live -o json rules/
    sallyport explain --to https://shop.example.com/ --gateway istio=ingressgateway rules/

Each step names the resource and FILE:LINE that decided it; "-" lines say what was not chosen and
why. --live also resolves, connects and shakes hands as the plan says, without sending a request.
Where the plan is mutual TLS of the mesh it wants the workload's certificate: from files, else the
running proxy is asked for what is public of it, and the server's side alone is verified.
Where the server's pods or their templates are among the PATHs, their sidecar's PeerAuthentication
and AuthorizationPolicies are asked, too. A template counts as inject leaves it; --from one without
a sidecar sends as it is.

With --gateway it is told what a gateway's proxy does with a client's request: which server takes
the SNI or Host, with which TLS, by which VirtualService, and where to. The URL's port is that of
the gateway's Service. The proxy is a pod or workload among the PATHs, by name or by labels (where
none has them: one of --namespace), or self: with --namespace and labels as of this pod.

It reads the files anew. A running proxy that was given a bad version keeps the last good one until
the files are mended; in its pod it is asked whether it refused something, and where it then does
something else than the files say, both are told (the exit code is that of the files).

Exit codes: 0 it goes through, 1 it would be refused (or nothing can be read), 2 wrong command
line)";

struct ExplainFlags {
  std::string to, from, gateway, method = "GET", mesh_config, dialled, domain, admin,
                                 output = "text";
  std::vector<std::string> paths, config, headers, alpn;
  IdentityFlags identity;
  WorkloadIdentityFlags workload;
  bool live = false;
};

void add_explain_options(CLI::App& app, ExplainFlags& f) {
  app.add_option("--to", f.to, "http://HOST[:PORT][/PATH], https://..., tcp://HOST:PORT")
      ->required();
  app.add_option("PATH", f.paths, "files or directories with resources and manifests; - is stdin");
  app.add_option("--config", f.config,
                 "the same, as sidecar has it (default: /etc/istio/config, the sidecar's)");
  app.add_option("--mesh-config", f.mesh_config,
                 "MeshConfig file (else a ConfigMap istio with key mesh among the PATHs)");
  app.add_option("--from", f.from,
                 "pod or workload among the PATHs (NAME, NAMESPACE/NAME, deploy/NAME, "
                 "deploy/NAME.NAMESPACE): its labels, namespace and annotations count; of a bare "
                 "NAME the one in --namespace, else of any");
  app.add_option("--gateway", f.gateway,
                 "as a gateway's proxy gets it from a client: a pod or workload as of --from, "
                 "labels (istio=ingressgateway), or self")
      ->excludes("--from");
  app.add_option(
         "--alpn", f.alpn,
         "protocols that the TLS client of a --gateway offers, NAME,...: istio is the mesh's, "
         "which AUTO_PASSTHROUGH asks for")
      ->delimiter(',')
      ->needs("--gateway");
  app.add_option("-X,--method", f.method, "method of the request")->capture_default_str();
  app.add_option("-H,--header", f.headers, "\"Name: value\" of the request; may be repeated")
      ->allow_extra_args(false);
  app.add_option("--dialled", f.dialled, "the address that the application dials (else a guess)");
  app.add_flag("--live", f.live, "make the connection and show what the server presents");
  app.add_option("-o,--output", f.output, "text, json or yaml")
      ->capture_default_str()
      ->check(CLI::IsMember({"text", "json", "yaml"}));
  app.add_option("--admin", f.admin,
                 "address:port of the running proxy's admin interface, asked what it refused "
                 "and whether it has its certificate "
                 "(default, where the sidecar's own files are read: 127.0.0.1:15000)");
  app.add_option("--identity-cert", f.workload.chain,
                 "as of the sidecar: PEM file of the workload's certificate chain, shown to "
                 "servers of the mesh by --live");
  app.add_option("--identity-key", f.workload.key, "PEM file of its private key");
  app.add_option("--identity-root", f.workload.roots, "PEM file of the mesh's roots");
  app.add_option("--domain", f.domain, "cluster domain (default cluster.local)");
  app.add_option("-n,--namespace", f.identity.namespace_name, "of the proxy (else POD_NAMESPACE)");
  app.add_option("--labels", f.identity.labels, "key=value,... of the proxy")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--labels-file", f.identity.labels_file,
                 "downward API file (else /etc/istio/pod/labels)");
}

bool exists(const char* path) {
  struct stat status {};
  return ::stat(path, &status) == 0;
}

LoadRequest request_for(const ExplainFlags& flags, istio::Proxy proxy) {
  LoadRequest out;
  out.paths = flags.paths;
  out.manifests = !flags.paths.empty();
  out.paths.insert(out.paths.end(), flags.config.begin(), flags.config.end());
  out.mesh_config = flags.mesh_config;
  if (out.paths.empty()) {
    out.paths.emplace_back(usual_config);
    if (out.mesh_config.empty() && exists(usual_mesh_config)) out.mesh_config = usual_mesh_config;
  }
  out.domain = flags.domain;
  out.from = flags.from;
  out.gateway = flags.gateway;
  out.proxy = std::move(proxy);
  return out;
}

// What the proxy beside us refuses: there it may go by a last good version, which the files no
// longer show. Nothing: it refuses nothing.
std::optional<mesh::ExplainedStep> refusals_of(const RunningProxy& running) {
  mesh::ExplainedStep step{"proxy",
                           "the running one refuses what the notes name, and may hold a last good "
                           "version; below is what the files say",
                           "",
                           {}};
  for (const auto& one : running.refused) step.notes.push_back(one.place + ": " + one.reason);
  if (step.notes.empty()) return std::nullopt;
  return step;
}

// What the running proxy does with the plan's targets, by the last good versions that it holds;
// empty: the same as the files say.
std::string done_by(const RunningProxy& running, const mesh::Explanation& plan) {
  std::string out;
  bool differs = false;
  for (const auto& target : plan.targets) {
    if (!target.cluster) continue;
    const auto at = running.clusters.find(target.cluster->name);
    if (at == running.clusters.end()) continue;
    const bool closed = !at->second.refused.empty();
    differs = differs || closed != static_cast<bool>(target.cluster->refused);
    out += (out.empty() ? "" : "; ") + target.cluster->name + " " +
           (closed ? "is REFUSED: " + at->second.refused
                   : "is sent to, by the last good version, as " + at->second.tls);
  }
  return differs ? out : "";
}

bool is_closed_by(const RunningProxy& running, const mesh::Explanation& plan) {
  return std::any_of(plan.targets.begin(), plan.targets.end(), [&](const auto& target) {
    if (!target.cluster) return false;
    const auto at = running.clusters.find(target.cluster->name);
    return at != running.clusters.end() && !at->second.refused.empty();
  });
}

std::optional<RunningProxy> beside_us(const ExplainFlags& flags) {
  if (!flags.paths.empty() && flags.admin.empty()) return std::nullopt;
  return ask_running_proxy(*SocketAddress::parse(flags.admin.empty() ? usual_admin : flags.admin));
}

std::string asked(const ExplainFlags& flags, const Url& url, const istio::Proxy& proxy) {
  std::string out = url.scheme == "http" ? flags.method + " " : "";
  out += url.text() + (flags.gateway.empty() ? " from " : " at gateway ") + proxy.namespace_name;
  if (!proxy.name.empty()) out += "/" + proxy.name;
  const auto labels = istio::text_of(proxy.labels);
  return out + (labels.empty() ? " (no labels)" : " (" + labels + ")");
}

struct TellInput {
  const ExplainFlags& flags;
  const Url& url;
  const Asked& request;
  const Loaded& loaded;
  OwnIdentity own;
  std::time_t now;
};

// What follows from each target.
void tell_targets(const TellInput& in, const mesh::Question& question, Told& told) {
  const auto& loaded = in.loaded;
  for (auto& target : told.plan.targets) {
    explain_secrets(target, loaded.input, *loaded.vault, in.now);
    explain_identity(target, in.own);
    explain_servers(target, *loaded.world, loaded.input, question);
    if (in.flags.live) {
      told.live.push_back(
          try_live(target, *loaded.vault, in.own, in.url.host, question.destination));
    }
  }
}

void tell_sidecar(const TellInput& in, Told& told) {
  const auto& [flags, url, request, loaded, own, now] = in;
  auto to = dialled(*loaded.world, loaded.input.resources, url, loaded.input.proxy.namespace_name,
                    flags.dialled);
  if (flags.live && to.guessed) {
    if (const auto ip = resolved(url.host)) {
      to.address = {*ip, url.port};
      to.how = "as DNS says here";
    }
  }
  told.before.push_back({"dialled", to.address.text() + ": " + to.how, "", {}});
  auto taken = capture(*loaded.world, loaded.pod, to.address);
  told.before.push_back(std::move(taken.step));
  told.captured = taken.captured;
  const auto question = request.question(to.address);
  if (!told.captured) {
    auto direct = explain_direct(*loaded.world, loaded.input, question);
    told.plan.steps = std::move(direct.steps);
    told.plan.refused = std::move(direct.refused);
    return;
  }
  told.plan = mesh::explain(loaded.input, *loaded.snapshot, question);
  tell_targets(in, question, told);
}

void tell_gateway(const TellInput& in, Told& told) {
  const auto& loaded = in.loaded;
  const auto any = *IpAddress::parse("0.0.0.0");
  const auto given = IpAddress::parse(in.flags.dialled);
  auto question = in.request.question_inside({given ? *given : any, in.url.port});
  question.preface.alpn = in.flags.alpn;
  auto explained = mesh::explain_gateway(loaded.input, *loaded.snapshot, loaded.findings, question);
  explain_termination(explained, loaded.input, *loaded.vault, in.now);
  told.plan = std::move(explained.plan);
  // What goes on is no longer the client's TLS.
  if (explained.chain && explained.chain->tls)
    question.preface.protocol =
        explained.chain->http ? sniff::Protocol::http1 : sniff::Protocol::opaque;
  tell_targets(in, question, told);
}

Told tell(const ExplainFlags& flags, const Url& url, const Asked& request, const Loaded& loaded,
          const ca::IdentitySettings& identity) {
  Told told;
  told.asked = asked(flags, url, loaded.input.proxy);
  const auto running = beside_us(flags);
  if (running) {
    if (auto step = refusals_of(*running)) told.before.push_back(std::move(*step));
  }
  const auto now = std::time(nullptr);
  const TellInput in{
      flags, url, request, loaded, own_identity(identity, running ? &*running : nullptr, now), now};
  flags.gateway.empty() ? tell_sidecar(in, told) : tell_gateway(in, told);
  if (running && !running->refused.empty() && told.captured) {
    told.running = done_by(*running, told.plan);
    told.may_differ = told.running.empty() && !is_closed_by(*running, told.plan);
  }
  return told;
}

int fail(const Error& error) {
  std::fprintf(stderr, "sallyport explain: %s\n", error.context.c_str());
  return exit_refused;
}

}  // namespace

int run_explain(int argc, char** argv) {
  CLI::App app("Says where a request would go, how, and which lines of which resources say so.",
               "sallyport explain");
  app.footer(explain_footer);
  ExplainFlags flags;
  add_explain_options(app, flags);
  if (const auto code = parse(app, argc, argv)) return *code;
  const auto url = parse_url(flags.to);
  if (!url) return wrong_usage(app, url.error().context);
  if (!flags.dialled.empty() && !IpAddress::parse(flags.dialled)) {
    return wrong_usage(app, "--dialled: \"" + flags.dialled + "\" is no IP address");
  }
  if (!flags.admin.empty() && !SocketAddress::parse(flags.admin)) {
    return wrong_usage(app, "--admin: \"" + flags.admin + "\" is not address:port");
  }
  const Asked request(*url, flags.method, flags.headers);
  if (const auto wrong = request.problem()) return wrong_usage(app, *wrong);
  const Environment environment = [](const char* name) {
    return static_cast<const char*>(std::getenv(name));
  };
  auto proxy = find_identity(flags.identity, environment);
  if (!proxy) return wrong_usage(app, proxy.error().context);
  const auto identity = find_workload_identity(
      flags.workload, environment, [](const std::string& path) { return exists(path.c_str()); });
  if (!identity) return wrong_usage(app, identity.error().context);
  const auto loaded = load(request_for(flags, std::move(*proxy)));
  if (!loaded) return fail(loaded.error());
  const auto told = tell(flags, *url, request, *loaded, *identity);
  const auto shown = flags.output == "text"   ? explanation_text(told)
                     : flags.output == "json" ? explanation_document(told, Output::json)
                                              : explanation_document(told, Output::yaml);
  const bool written = std::fputs(shown.c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
  return written && told.goes_through() ? 0 : exit_refused;
}

}  // namespace sallyport::cli
