#include "agent/proxy/edits.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "agent/mesh/host_names.h"
#include "agent/mesh/match.h"

namespace sallyport::proxy {
namespace {

using Field = std::pair<std::string, std::string>;

// A rule that could change these could make two messages of one (hardening.md).
bool frames(std::string_view name) {
  for (const std::string_view framing : {"content-length", "transfer-encoding", "connection", "te",
                                         "trailer", "upgrade", "keep-alive", "host"}) {
    if (http::same_name(name, framing)) return true;
  }
  return name.empty() || name.starts_with(':');
}

bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && http::same_name(a, mesh::lower(b));
}

void remove(std::vector<Field>& fields, std::string_view name) {
  if (frames(name)) return;
  std::erase_if(fields, [&](const Field& field) { return same(field.first, name); });
}

// Of a format that has nothing to say there is no field, as with Envoy: the old one stays.
void apply(std::vector<Field>& fields, const istio::HeaderOperations& operations,
           const TextOf& text_of) {
  const auto put = [&](const Field& field, bool instead) {
    const auto& [name, value] = field;
    auto text = operations.formatted ? text_of(value) : value;
    if (operations.formatted && text.empty() && !value.empty()) return;
    if (instead) remove(fields, name);
    if (!frames(name)) fields.emplace_back(name, std::move(text));
  };
  for (const auto& name : operations.remove) remove(fields, name);
  for (const auto& field : operations.set) put(field, true);
  for (const auto& field : operations.add) put(field, false);
}

void apply(std::vector<Field>& fields, Operations operations, const TextOf& text_of) {
  for (const auto* one : operations)
    if (one) apply(fields, *one, text_of);
}

std::vector<Field> fields_of(const http::Head& head) {
  std::vector<Field> fields;
  fields.reserve(head.count);
  for (std::size_t i = 0; i < head.count; i++)
    fields.emplace_back(head.name(head.fields[i]), head.value(head.fields[i]));
  return fields;
}

std::string written(std::string line, const std::vector<Field>& fields) {
  line += "\r\n";
  for (const auto& [name, value] : fields) line.append(name).append(": ").append(value) += "\r\n";
  return line += "\r\n";
}

std::string_view query_of(std::string_view path) {
  return path.substr(mesh::path_only(path).size());
}

std::string_view host_of(std::string_view authority) {
  const auto colon = authority.rfind(':');
  const bool port = colon != authority.npos && authority.find(']', colon) == authority.npos;
  return port ? authority.substr(0, colon) : authority;
}

}  // namespace

std::string rewritten_path(const mesh::Rewrite& rewrite, std::string_view path) {
  const auto only = mesh::path_only(path);
  std::string out;
  if (rewrite.regex) {
    out = rewrite.regex->replaced(only, rewrite.substitution);
  } else if (rewrite.path.empty()) {
    out = only;
  } else if (rewrite.whole_path) {
    out = rewrite.path;
  } else {
    out = rewrite.path;
    out += only.substr(std::min(rewrite.matched_prefix.size(), only.size()));
  }
  return out.append(query_of(path));
}

std::string redirect_location(const mesh::Redirect& redirect, std::string_view scheme,
                              std::string_view authority, std::string_view path) {
  const std::string_view to = redirect.scheme.empty() ? scheme : std::string_view(redirect.scheme);
  std::string host(redirect.authority.empty() ? authority : std::string_view(redirect.authority));
  const auto ends = [&](std::string_view port) { return host.ends_with(port); };
  if (redirect.port) {
    host = std::string(host_of(host)) + ":" + std::to_string(redirect.port);
  } else if (redirect.derive_request_port) {
    const auto own = authority.substr(host_of(authority).size());
    host = std::string(host_of(host)).append(own);
  } else if (to != scheme && (ends(":80") || ends(":443"))) {
    host = host_of(host);  // Measured: scheme https drops :80.
  }
  if ((to == "http" && ends(":80")) || (to == "https" && ends(":443"))) host = host_of(host);
  std::string target(path);
  if (!redirect.path.empty()) {
    target = redirect.path;
  } else if (!redirect.prefix_rewrite.empty()) {
    target = redirect.prefix_rewrite;
    target += path.substr(std::min(redirect.matched_prefix.size(), path.size()));
  }
  return std::string(to).append("://").append(host).append(target);
}

std::string edited_request(const http::Head& head, const RequestEdits& edits, Operations operations,
                           const TextOf& text_of) {
  const std::string_view old = head.origin_path();
  auto fields = fields_of(head);
  const bool moved = !edits.path.empty() && edits.path != old;
  if (moved) {
    remove(fields, "x-envoy-original-path");
    fields.emplace_back("x-envoy-original-path", old);
  }
  apply(fields, operations, text_of);
  const std::string authority =
      edits.authority.empty() ? std::string(head.authority()) : edits.authority;
  if (!authority.empty()) {
    std::erase_if(fields, [](const Field& field) { return http::same_name(field.first, "host"); });
    fields.insert(fields.begin(), {"Host", authority});
  }
  std::string line(head.method());
  line.append(" ").append(moved ? std::string_view(edits.path) : old);
  line.append(head.minor ? " HTTP/1.1" : " HTTP/1.0");
  return written(std::move(line), fields);
}

std::string edited_response(const http::Head& head, Operations operations, const TextOf& text_of) {
  auto fields = fields_of(head);
  apply(fields, operations, text_of);
  // Its first line with the reason that came.
  std::string line(head.base + head.begin, head.start_line - head.begin);
  while (line.ends_with('\n') || line.ends_with('\r')) line.pop_back();
  return written(std::move(line), fields);
}

std::string fields_of(Operations operations, const TextOf& text_of) {
  std::vector<Field> fields;
  apply(fields, operations, text_of);
  std::string out;
  for (const auto& [name, value] : fields) out.append(name).append(": ").append(value) += "\r\n";
  return out;
}

}  // namespace sallyport::proxy
