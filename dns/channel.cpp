#include "dns/channel.h"

#include <ares.h>
#include <netdb.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <unordered_map>
#include <vector>

#include "agent/core/limits.h"
#include "dns/resolver.h"

namespace sallyport::dns {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// A socket of c-ares. Asio only watches it: it is released before c-ares closes it.
struct Watch {
  Watch(asio::io_context& io, int socket) : descriptor(io, socket) {}
  ~Watch() { release(); }
  void release() {
    if (descriptor.is_open()) descriptor.release();
  }
  asio::posix::stream_descriptor descriptor;
  bool want_read = false, want_write = false;
  bool waits_read = false, waits_write = false;  // a handler is under way
};

struct LibraryUse {
  LibraryUse() { ares_library_init(ARES_LIB_INIT_ALL); }
};

Outcome outcome_of(int status, std::span<const unsigned char> message, std::string_view host,
                   Family family) {
  switch (status) {
    case ARES_SUCCESS:
      break;
    case ARES_ENODATA:
      return {Verdict::no_data, {}, "no address", denial_ttl(message)};
    case ARES_ENOTFOUND:
      return {Verdict::no_such_name, {}, "no such name (NXDOMAIN)", denial_ttl(message)};
    case ARES_ETIMEOUT:
      return {Verdict::timed_out, {}, "no answer in time", {}};
    default:
      return {Verdict::failed, {}, ares_strerror(status), {}};
  }
  auto records = read_addresses(message, host, family);
  if (!records) return {Verdict::failed, {}, records.error().context, {}};
  if (records->addresses.empty()) return {Verdict::no_data, {}, "no address", denial_ttl(message)};
  return {Verdict::answered, std::move(*records), {}, {}};
}

// `bytes`: in network order, as many as the family has.
IpAddress address_of(int family, const void* bytes) {
  if (family == AF_INET) {
    in_addr v4;
    std::memcpy(&v4, bytes, sizeof v4);
    return IpAddress::v4(ntohl(v4.s_addr));
  }
  in6_addr v6;
  std::memcpy(&v6, bytes, sizeof v6);
  return IpAddress::v6(v6);
}

Search search_of(ares_channel channel) {
  Search out;
  ares_options saved{};
  int mask = 0;
  if (ares_save_options(channel, &saved, &mask) != ARES_SUCCESS) return out;
  if (mask & ARES_OPT_NDOTS) out.ndots = saved.ndots;
  for (int i = 0; i < saved.ndomains && out.domains.size() < limits::dns_search_domains; ++i) {
    out.domains.emplace_back(saved.domains[i]);
  }
  ares_destroy_options(&saved);
  return out;
}

std::string list_servers(ares_channel channel) {
  ares_addr_port_node* first = nullptr;
  if (ares_get_servers_ports(channel, &first) != ARES_SUCCESS) return {};
  std::string out;
  for (const ares_addr_port_node* node = first; node; node = node->next) {
    const IpAddress ip = address_of(node->family, &node->addr);
    if (!out.empty()) out += ", ";
    out += SocketAddress(ip, node->udp_port ? static_cast<uint16_t>(node->udp_port) : 53).text();
  }
  ares_free_data(first);
  return out;
}

}  // namespace

struct Channel::State : std::enable_shared_from_this<State> {
  explicit State(net::Loop& loop) : io(loop.io()), timer(loop.io()) {}
  ~State() { close(); }

  struct Question {
    State* state;  // null once the channel is gone
    std::string host;
    Family family;
    std::function<void(Outcome)> done;
  };

  int start(const ResolverOptions& options);
  void close();
  void on_socket(int socket, bool readable, bool writable);
  void wait_on(int socket, const std::shared_ptr<Watch>& watch);
  void ready(int socket, const std::shared_ptr<Watch>& watch, bool readable);
  void arm_timer();
  void deliver_later(std::function<void(Outcome)> done, Outcome outcome);
  void deliver();

  asio::io_context& io;
  asio::steady_timer timer;
  ares_channel channel = nullptr;
  std::string servers;
  Search search;
  std::unordered_map<int, std::shared_ptr<Watch>> watches;
  // Callbacks run from the loop, not inside c-ares: whoever is called may destroy the channel.
  std::vector<std::pair<std::function<void(Outcome)>, Outcome>> ended;
};

int Channel::State::start(const ResolverOptions& options) {
  static const LibraryUse
      library;  // ares_library_init is not thread-safe, a static's constructor is
  ares_options o{};
  o.timeout = static_cast<int>(options.timeout.count());
  o.tries = options.tries;
  o.flags = 0;
  char lookups[] = "b";
  o.lookups = lookups;
  o.sock_state_cb = [](void* self, ares_socket_t socket, int readable, int writable) {
    static_cast<State*>(self)->on_socket(socket, readable != 0, writable != 0);
  };
  o.sock_state_cb_data = this;
  // c-ares wants it writable; it keeps a copy.
  std::string resolv_conf = options.resolv_conf_path();
  o.resolvconf_path = resolv_conf.data();
  const int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_FLAGS | ARES_OPT_LOOKUPS |
                   ARES_OPT_SOCK_STATE_CB | ARES_OPT_RESOLVCONF;
  int status = ares_init_options(&channel, &o, mask);
  if (status != ARES_SUCCESS) {
    channel = nullptr;
    return status;
  }
  std::string csv;
  for (const SocketAddress& server : options.servers) {
    csv += (csv.empty() ? "" : ",") + server.text();
  }
  if (!csv.empty()) status = ares_set_servers_ports_csv(channel, csv.c_str());
  servers = list_servers(channel);
  if (options.uses_resolv_conf()) search = search_of(channel);
  return status;
}

void Channel::State::close() {
  if (!channel) return;
  ended.clear();
  ares_destroy(channel);  // calls every open question back, with ARES_EDESTRUCTION
  channel = nullptr;
  timer.cancel();
  watches.clear();
}

void Channel::State::on_socket(int socket, bool readable, bool writable) {
  if (!readable && !writable) {
    if (const auto at = watches.find(socket); at != watches.end()) {
      at->second->release();  // now: c-ares closes it next, and a handler may still hold the Watch
      watches.erase(at);
    }
    return;
  }
  auto& watch = watches[socket];
  if (!watch) watch = std::make_shared<Watch>(io, socket);
  watch->want_read = readable;
  watch->want_write = writable;
  wait_on(socket, watch);
}

void Channel::State::wait_on(int socket, const std::shared_ptr<Watch>& watch) {
  using Descriptor = asio::posix::stream_descriptor;
  const std::weak_ptr<State> weak = weak_from_this();
  const std::weak_ptr<Watch> which = watch;
  const auto handler = [weak, which, socket](bool readable) {
    return [weak, which, socket, readable](const error_code& error) {
      const auto self = weak.lock();
      const auto watched = which.lock();
      if (!error && self && watched) self->ready(socket, watched, readable);
    };
  };
  if (watch->want_read && !watch->waits_read) {
    watch->waits_read = true;
    watch->descriptor.async_wait(Descriptor::wait_read, handler(true));
  }
  if (watch->want_write && !watch->waits_write) {
    watch->waits_write = true;
    watch->descriptor.async_wait(Descriptor::wait_write, handler(false));
  }
}

void Channel::State::ready(int socket, const std::shared_ptr<Watch>& watch, bool readable) {
  (readable ? watch->waits_read : watch->waits_write) = false;
  ares_process_fd(channel, readable ? socket : ARES_SOCKET_BAD,
                  readable ? ARES_SOCKET_BAD : socket);
  const auto still = watches.find(socket);  // The number may be another socket's by now.
  if (still != watches.end() && still->second == watch) wait_on(socket, watch);
  arm_timer();
}

void Channel::State::arm_timer() {
  timeval time{};
  if (!ares_timeout(channel, nullptr, &time)) {
    timer.cancel();
    return;
  }
  timer.expires_after(std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec));
  timer.async_wait([weak = weak_from_this()](const error_code& error) {
    const auto self = weak.lock();
    if (error || !self || !self->channel) return;
    ares_process_fd(self->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    self->arm_timer();
  });
}

void Channel::State::deliver_later(std::function<void(Outcome)> done, Outcome outcome) {
  ended.emplace_back(std::move(done), std::move(outcome));
  if (ended.size() > 1) return;
  asio::post(io, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->deliver();
  });
}

void Channel::State::deliver() {
  const auto now = std::exchange(ended, {});
  for (const auto& [done, outcome] : now) {
    if (!channel) return;  // destroyed by the one before
    done(outcome);
  }
}

Result<std::unique_ptr<Channel>> Channel::open(net::Loop& loop, const ResolverOptions& options) {
  auto state = std::make_shared<State>(loop);
  const int status = state->start(options);
  if (status != ARES_SUCCESS) {
    return Error{Fault::internal,
                 Side::local,
                 false,
                 std::string("set up the DNS client: ") + ares_strerror(status),
                 {}};
  }
  return std::unique_ptr<Channel>(new Channel(std::move(state)));
}

Channel::Channel(std::shared_ptr<State> state) : state_(std::move(state)) {}
Channel::~Channel() { state_->close(); }

void Channel::ask(const std::string& host, Family family, std::function<void(Outcome)> done) {
  constexpr int class_in = 1, type_a = 1, type_aaaa = 28;
  auto* question = new State::Question{state_.get(), host, family, std::move(done)};
  const auto answered = [](void* argument, int status, int, unsigned char* bytes, int size) {
    const std::unique_ptr<State::Question> asked(static_cast<State::Question*>(argument));
    if (status == ARES_EDESTRUCTION || status == ARES_ECANCELLED) return;
    const std::span<const unsigned char> message(bytes, static_cast<std::size_t>(bytes ? size : 0));
    asked->state->deliver_later(std::move(asked->done),
                                outcome_of(status, message, asked->host, asked->family));
  };
  ares_query(state_->channel, host.c_str(), class_in, family == Family::v4 ? type_a : type_aaaa,
             answered, question);
  state_->arm_timer();
}

std::vector<IpAddress> Channel::from_hosts_file(const std::string& host, Family family) const {
  hostent* found = nullptr;
  const int kind = family == Family::v4 ? AF_INET : AF_INET6;
  std::vector<IpAddress> out;
  if (ares_gethostbyname_file(state_->channel, host.c_str(), kind, &found) != ARES_SUCCESS) {
    return out;
  }
  for (char** at = found->h_addr_list; *at && out.size() < limits::dns_addresses; ++at) {
    out.push_back(address_of(found->h_addrtype, *at));
  }
  ares_free_hostent(found);
  return out;
}

const std::string& Channel::servers() const { return state_->servers; }
const Search& Channel::search() const { return state_->search; }

}  // namespace sallyport::dns
