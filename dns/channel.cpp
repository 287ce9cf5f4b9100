#include "dns/channel.h"

#include <ares.h>
#include <netdb.h>

#include <algorithm>
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

// As c-ares takes them, in its order: "10.96.0.10:53".
std::vector<std::string> list_servers(ares_channel channel) {
  ares_addr_port_node* first = nullptr;
  std::vector<std::string> out;
  if (ares_get_servers_ports(channel, &first) != ARES_SUCCESS) return out;
  for (const ares_addr_port_node* node = first; node; node = node->next) {
    const IpAddress ip = address_of(node->family, &node->addr);
    const int port = node->udp_port ? node->udp_port : 53;
    out.push_back(SocketAddress(ip, static_cast<uint16_t>(port)).text());
  }
  ares_free_data(first);
  return out;
}

std::string joined(const std::vector<std::string>& servers, const char* separator) {
  std::string out;
  for (const std::string& server : servers) out += (out.empty() ? "" : separator) + server;
  return out;
}

// c-ares always begins with its first server: a lane is one that has another one first.
struct Lane : std::enable_shared_from_this<Lane> {
  Lane(asio::io_context& of, std::size_t at) : io(of), timer(of), first(at) {}
  ~Lane() {
    if (channel) ares_destroy(channel);  // calls open questions back, with ARES_EDESTRUCTION
  }
  Lane(const Lane&) = delete;

  int start(const ResolverOptions& options, const std::string& servers);
  void on_socket(int socket, bool readable, bool writable);
  void wait_on(int socket, const std::shared_ptr<Watch>& watch);
  void ready(int socket, const std::shared_ptr<Watch>& watch, bool readable);
  void arm_timer();

  asio::io_context& io;
  asio::steady_timer timer;
  const std::size_t first;  // its first server, in the order of the configuration
  ares_channel channel = nullptr;
  std::unordered_map<int, std::shared_ptr<Watch>> watches;
};

// `servers`: "a:53,b:53"; empty: those of resolv.conf.
int Lane::start(const ResolverOptions& options, const std::string& servers) {
  static const LibraryUse
      library;  // ares_library_init is not thread-safe, a static's constructor is
  ares_options o{};
  o.timeout = static_cast<int>(options.timeout.count());
  o.tries = options.tries;
  o.flags = 0;
  char lookups[] = "b";
  o.lookups = lookups;
  o.sock_state_cb = [](void* self, ares_socket_t socket, int readable, int writable) {
    static_cast<Lane*>(self)->on_socket(socket, readable != 0, writable != 0);
  };
  o.sock_state_cb_data = this;
  // c-ares wants it writable; it keeps a copy.
  std::string resolv_conf = options.resolv_conf_path();
  o.resolvconf_path = resolv_conf.data();
  const int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_FLAGS | ARES_OPT_LOOKUPS |
                   ARES_OPT_SOCK_STATE_CB | ARES_OPT_RESOLVCONF;
  const int status = ares_init_options(&channel, &o, mask);
  if (status != ARES_SUCCESS) {
    channel = nullptr;
    return status;
  }
  return servers.empty() ? status : ares_set_servers_ports_csv(channel, servers.c_str());
}

void Lane::on_socket(int socket, bool readable, bool writable) {
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

void Lane::wait_on(int socket, const std::shared_ptr<Watch>& watch) {
  using Descriptor = asio::posix::stream_descriptor;
  const std::weak_ptr<Lane> weak = weak_from_this();
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

void Lane::ready(int socket, const std::shared_ptr<Watch>& watch, bool readable) {
  (readable ? watch->waits_read : watch->waits_write) = false;
  ares_process_fd(channel, readable ? socket : ARES_SOCKET_BAD,
                  readable ? ARES_SOCKET_BAD : socket);
  const auto still = watches.find(socket);  // The number may be another socket's by now.
  if (still != watches.end() && still->second == watch) wait_on(socket, watch);
  arm_timer();
}

void Lane::arm_timer() {
  timeval time{};
  if (!ares_timeout(channel, nullptr, &time)) {
    timer.cancel();
    return;
  }
  timer.expires_after(std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec));
  timer.async_wait([weak = weak_from_this()](const error_code& error) {
    const auto self = weak.lock();
    if (error || !self) return;
    ares_process_fd(self->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    self->arm_timer();
  });
}

}  // namespace

struct Channel::State : std::enable_shared_from_this<State> {
  State(net::Loop& on, const ResolverOptions& o) : loop(on), options(o), retry_first(loop.now()) {}

  struct Question {
    State* state;  // which outlives its lanes
    std::size_t lane;
    bool probe;  // whether that lane's server lives; nobody wants the answer
    std::string host;
    Family family;
    std::function<void(Outcome)> done;
  };

  int start();
  void ask(std::size_t first, Question question);
  Lane& lane(std::size_t first);
  void note(const Question& asked, int status, int timeouts);
  void deliver_later(std::function<void(Outcome)> done, Outcome outcome);
  void deliver();

  net::Loop& loop;
  const ResolverOptions options;
  std::vector<std::string> servers;
  std::string servers_text;
  Search search;
  std::vector<std::shared_ptr<Lane>> lanes;  // one a server, made when first used; empty: closed
  std::size_t preferred = 0;                 // the lane for new questions
  net::Loop::Clock::time_point retry_first;  // not preferred: when it is tried
  // Callbacks run from the loop, not inside c-ares: whoever is called may destroy the channel.
  std::vector<std::pair<std::function<void(Outcome)>, Outcome>> ended;
};

int Channel::State::start() {
  std::vector<std::string> given;
  for (const SocketAddress& server : options.servers) given.push_back(server.text());
  const auto first = std::make_shared<Lane>(loop.io(), 0);
  const int status = first->start(options, joined(given, ","));
  if (status != ARES_SUCCESS) return status;
  servers = list_servers(first->channel);
  servers_text = joined(servers, ", ");
  if (options.uses_resolv_conf()) search = search_of(first->channel);
  lanes.resize(std::max<std::size_t>(servers.size(), 1));
  lanes[0] = first;
  return status;
}

Lane& Channel::State::lane(std::size_t first) {
  if (lanes[first]) return *lanes[first];
  auto order = servers;
  std::rotate(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(first), order.end());
  auto made = std::make_shared<Lane>(loop.io(), first);
  if (made->start(options, joined(order, ",")) != ARES_SUCCESS) return *lanes[0];
  return *(lanes[first] = std::move(made));
}

// A silent first server costs its time-out once, not for each name. It is the first again as soon
// as it answers: later ones may know less (a public resolver behind a private one).
void Channel::State::note(const Question& asked, int status, int timeouts) {
  const bool answered =
      status == ARES_SUCCESS || status == ARES_ENODATA || status == ARES_ENOTFOUND;
  if (!answered) return;
  if (timeouts == 0) {
    if (asked.lane == 0) preferred = 0;
    return;
  }
  if (asked.lane != preferred) return;
  preferred = (preferred + static_cast<std::size_t>(timeouts)) % lanes.size();
  retry_first = loop.now() + options.server_retry;
}

void Channel::State::ask(std::size_t first, Question question) {
  constexpr int class_in = 1, type_a = 1, type_aaaa = 28;
  Lane& through = lane(first);
  question.lane = through.first;
  const auto answered = [](void* argument, int status, int timeouts, unsigned char* bytes,
                           int size) {
    const std::unique_ptr<Question> asked(static_cast<Question*>(argument));
    if (status == ARES_EDESTRUCTION || status == ARES_ECANCELLED) return;
    asked->state->note(*asked, status, timeouts);
    if (asked->probe) return;
    const std::span<const unsigned char> message(bytes, static_cast<std::size_t>(bytes ? size : 0));
    asked->state->deliver_later(std::move(asked->done),
                                outcome_of(status, message, asked->host, asked->family));
  };
  auto* const kept = new Question(std::move(question));
  const std::string host = kept->host;  // c-ares may call back at once
  ares_query(through.channel, host.c_str(), class_in,
             kept->family == Family::v4 ? type_a : type_aaaa, answered, kept);
  through.arm_timer();
}

void Channel::State::deliver_later(std::function<void(Outcome)> done, Outcome outcome) {
  ended.emplace_back(std::move(done), std::move(outcome));
  if (ended.size() > 1) return;
  asio::post(loop.io(), [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->deliver();
  });
}

void Channel::State::deliver() {
  const auto now = std::exchange(ended, {});
  for (const auto& [done, outcome] : now) {
    if (lanes.empty()) return;  // closed by the one before
    done(outcome);
  }
}

Result<std::unique_ptr<Channel>> Channel::open(net::Loop& loop, const ResolverOptions& options) {
  auto state = std::make_shared<State>(loop, options);
  const int status = state->start();
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
Channel::~Channel() { state_->lanes.clear(); }

void Channel::ask(const std::string& host, Family family, std::function<void(Outcome)> done) {
  State& state = *state_;
  const auto now = state.loop.now();
  if (state.preferred != 0 && now >= state.retry_first) {
    state.retry_first = now + state.options.server_retry;
    state.ask(0, {&state, 0, true, host, family, {}});
  }
  state.ask(state.preferred, {&state, 0, false, host, family, std::move(done)});
}

std::vector<IpAddress> Channel::from_hosts_file(const std::string& host, Family family) const {
  hostent* found = nullptr;
  const int kind = family == Family::v4 ? AF_INET : AF_INET6;
  std::vector<IpAddress> out;
  if (ares_gethostbyname_file(state_->lanes[0]->channel, host.c_str(), kind, &found) !=
      ARES_SUCCESS) {
    return out;
  }
  for (char** at = found->h_addr_list; *at && out.size() < limits::dns_addresses; ++at) {
    out.push_back(address_of(found->h_addrtype, *at));
  }
  ares_free_hostent(found);
  return out;
}

const std::string& Channel::servers() const { return state_->servers_text; }
const Search& Channel::search() const { return state_->search; }

}  // namespace sallyport::dns
