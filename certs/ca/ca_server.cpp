#include "certs/ca/ca_server.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/system_timer.hpp>
#include <ctime>

#include "agent/config/file.h"
#include "agent/config/watcher.h"
#include "agent/core/limits.h"
#include "certs/ca/authority_files.h"
#include "certs/ca/ca_service.h"
#include "certs/describe.h"

namespace sallyport::ca {
namespace {

constexpr auto serving_certificate = std::chrono::hours(24);

int64_t now() { return std::time(nullptr); }

// At the start alone: later an empty directory is one that has vanished, and a new root would cut
// the mesh in two.
Result<std::shared_ptr<const Authority>> first_authority(const CaServerOptions& options) {
  return options.self_signed ? Authority::self_signed(options.trust_domain, options.directory)
                             : Authority::load(options.directory);
}

struct TokenSources {
  TokenRules rules;
  StaticTokens tokens;
};

Result<TokenSources> read_tokens(const CaServerOptions& options) {
  TokenSources sources{{{}, options.audiences, options.issuer}, {}};
  if (!options.keys_file.empty()) {
    auto text = config::read_file(options.keys_file, limits::pem_file_bytes);
    if (!text) return while_doing(options.keys_file, text.error());
    auto keys = parse_token_keys(*text);
    if (!keys) return while_doing(options.keys_file, keys.error());
    sources.rules.keys = std::move(*keys);
  }
  if (!options.tokens_file.empty()) {
    auto text = config::read_file(options.tokens_file, limits::config_file_bytes);
    if (!text) return while_doing(options.tokens_file, text.error());
    auto tokens = parse_static_tokens(*text);
    if (!tokens) return while_doing(options.tokens_file, tokens.error());
    sources.tokens = std::move(*tokens);
  }
  return sources;
}

}  // namespace

struct CaServer::State {
  State(boost::asio::io_context& context, CaServerOptions given,
        std::function<void(const std::string&)> info_line,
        std::function<void(const std::string&)> warn_line)
      : io(context),
        options(std::move(given)),
        info(std::move(info_line)),
        warn(std::move(warn_line)),
        timer(context),
        watcher(context, [this](const auto&) { reload(); }) {}

  Result<void> start();
  void reload();
  void watch();
  void serve_as(const Authority& authority);
  void await_renewal();
  Result<void> give_roots() const;
  std::string text_of(const Authority& authority) const;

  boost::asio::io_context& io;
  CaServerOptions options;
  std::function<void(const std::string&)> info, warn;
  std::shared_ptr<const Authority> authority;
  std::string told;  // the watcher's last problem
  std::unique_ptr<CaService> service;
  std::unique_ptr<GrpcServer> server;
  boost::asio::system_timer timer;  // for the serving certificate
  std::shared_ptr<int> alive = std::make_shared<int>();
  config::Watcher watcher;
};

std::string CaServer::State::text_of(const Authority& one) const {
  return "\"" + one.info().subject + "\", serial " + one.info().serial + ", valid until " +
         certs::time_text(one.info().not_after) + ", with " +
         std::to_string(one.roots().certificates().size()) + " root" +
         (one.roots().certificates().size() == 1 ? "" : "s");
}

Result<void> CaServer::State::start() {
  auto made = first_authority(options);
  if (!made) return made.error();
  authority = std::move(*made);
  if (auto given = give_roots(); !given) return while_doing("the root's file", given.error());
  auto tokens = read_tokens(options);
  if (!tokens) return tokens.error();
  service = std::make_unique<CaService>(
      CaService::Options{options.trust_domain, options.ttl, options.ttl_max, now, info, warn},
      authority);
  service->set_tokens(std::move(tokens->rules), std::move(tokens->tokens));
  auto own =
      authority->issue_server(options.dns_names, options.addresses, serving_certificate, now());
  if (!own) return while_doing("the CA's own serving certificate", own.error());
  auto roots = certs::TrustStore::parse(authority->roots_pem());
  if (!roots) return roots.error();
  auto listening = GrpcServer::start(
      io, options.listen, *own, *roots,
      [this](const ServerCall& call) { return service->admit(call); }, warn);
  if (!listening) return listening.error();
  server = std::move(*listening);
  watch();
  await_renewal();
  info("serving " + std::string(create_certificate_path) + " on " + server->address().text() +
       " for the trust domain " + options.trust_domain + ": CA " + text_of(*authority));
  return {};
}

Result<void> CaServer::State::give_roots() const {
  if (options.root_file.empty()) return {};
  return write_roots(options.root_file, authority->roots_pem());
}

// The new one at once, so that its roots verify clients of the new certificates.
void CaServer::State::serve_as(const Authority& one) {
  auto own = one.issue_server(options.dns_names, options.addresses, serving_certificate, now());
  if (!own) return warn("the CA's own serving certificate: " + own.error().context);
  auto roots = certs::TrustStore::parse(one.roots_pem());
  if (!roots) return warn("roots: " + roots.error().context);
  if (auto taken = server->set_certificate(*own, *roots); !taken)
    warn("the CA's own serving certificate: " + taken.error().context);
}

void CaServer::State::reload() {
  watch();
  auto made = options.directory.empty() ? Result<std::shared_ptr<const Authority>>(authority)
                                        : Authority::load(options.directory);
  if (!made) {
    warn("the CA's files: " + made.error().context + "; it goes on as before");
  } else if ((*made)->roots_pem() != authority->roots_pem() ||
             (*made)->info().serial != authority->info().serial) {
    authority = std::move(*made);
    service->set_authority(authority);
    serve_as(*authority);
    if (auto given = give_roots(); !given) warn("the root's file: " + given.error().context);
    info("the CA is now " + text_of(*authority));
  }
  auto tokens = read_tokens(options);
  if (!tokens) return warn(tokens.error().context + "; tokens are judged as before");
  service->set_tokens(std::move(tokens->rules), std::move(tokens->tokens));
}

void CaServer::State::watch() {
  config::WatchPoints points;
  if (!options.directory.empty()) {
    for (const char* name : {"ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"})
      config::add_path(options.directory + '/' + name, points);
  }
  for (const auto* path : {&options.keys_file, &options.tokens_file})
    if (!path->empty()) config::add_path(*path, points);
  if (points.empty()) return;
  const auto watched = watcher.watch(points);
  const std::string problem = watched ? "" : watched.error().context;
  if (problem != told && !problem.empty())
    warn("changes of files are not followed (SIGHUP reloads): " + problem);
  told = problem;
}

void CaServer::State::await_renewal() {
  timer.expires_after(serving_certificate / 2);
  timer.async_wait([this, guard = std::weak_ptr<int>(alive)](const auto& error) {
    if (error || guard.expired()) return;
    serve_as(*authority);
    await_renewal();
  });
}

CaServer::CaServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
CaServer::~CaServer() = default;

Result<std::unique_ptr<CaServer>> CaServer::start(boost::asio::io_context& io,
                                                  CaServerOptions options,
                                                  std::function<void(const std::string&)> info,
                                                  std::function<void(const std::string&)> warn) {
  auto state = std::make_unique<State>(io, std::move(options), std::move(info), std::move(warn));
  if (auto started = state->start(); !started) return started.error();
  return std::unique_ptr<CaServer>(new CaServer(std::move(state)));
}

void CaServer::reload() { state_->reload(); }
SocketAddress CaServer::address() const { return state_->server->address(); }
const std::string& CaServer::roots_pem() const { return state_->authority->roots_pem(); }

}  // namespace sallyport::ca
