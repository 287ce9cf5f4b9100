#include "agent/cli/finding_text.h"
#include "agent/cli/proxy_config_view.h"

namespace sallyport::cli {
namespace {

std::string version_text(const Json* dump) {
  const auto bootstrap = section(dump, "BootstrapConfigDump");
  if (!bootstrap) return {};
  const auto* version = member(*bootstrap, "bootstrap.node.user_agent_build_version.version");
  if (!version) return {};
  std::string out = "Sallyport Version: ";
  for (const auto* part : {"major_number", "minor_number", "patch"}) {
    const auto number = text_of(member(version, part));
    out += (out.ends_with(' ') ? "" : ".") + (number.empty() ? "0" : number);
  }
  return out + "\n";
}

// What the newest load refused or warned about: a rule that is missed above is often here.
std::string findings_text(const Json* dump) {
  const auto findings = section(dump, "FindingsDump");
  std::string out;
  if (!findings) return out;
  for (const auto* one : elements(member(*findings, "findings"))) {
    const auto text = [one](const char* name) { return text_of(member(one, name)); };
    const bool is_error = text("severity") == "error";
    out += finding_line({is_error ? istio::Severity::error : istio::Severity::warning, text("file"),
                         std::atoi(text("line").c_str()), text("kind"), text("namespace"),
                         text("name"), text("field"), text("reason")}) +
           "\n";
  }
  return out;
}

}  // namespace

Result<std::string> view_all(const Json* dump, const Json* clusters,
                             const ProxyConfigQuery& given) {
  if (given.output != Output::table) return print(*dump, given.output, Names::as_they_are);
  ProxyConfigQuery query = given;
  query.typed_names = true;
  std::string out;
  Result<void> done = {};
  const auto add = [&](const char* title, Result<std::string> part) {
    if (!part) done = part.error();
    if (!done) return;
    if (!out.empty()) out += "\n";
    if (query.with_headers) out += "------ " + std::string(title) + " ------\n\n";
    out += *part;
  };
  add("BOOTSTRAP INFO", version_text(dump));
  add("CLUSTER INFO", view_clusters(dump, query));
  add("LISTENER INFO", view_listeners(dump, query));
  add("ROUTE INFO", view_routes(dump, query));
  add("SECRET INFO", view_secrets(dump, query));
  add("ENDPOINTS INFO", view_endpoints(clusters ? clusters : dump, query));
  if (const auto findings = findings_text(dump); !findings.empty()) {
    add("REFUSED AND WARNED ABOUT", findings);
  }
  if (!done) return done.error();
  return out;
}

}  // namespace sallyport::cli
