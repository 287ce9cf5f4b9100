#include "iptables/nft_program.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "iptables/hints.h"
#include "iptables/program.h"

namespace sallyport::rules {
namespace {

constexpr std::string_view nft_hint =
    ". Hint: --native-nftables needs the program nft (package nftables) in the image";

Result<std::string> run_nft(const std::vector<std::string>& arguments, const std::string& input) {
  std::vector<std::string> all{find_program("nft")};
  if (all.front().empty()) return Error{.context = "no nft in PATH" + std::string(nft_hint)};
  all.insert(all.end(), arguments.begin(), arguments.end());
  auto ran = run_program(all, input);
  if (!ran) return ran.error();
  if (ran->exit_code == 0) return std::move(ran->output);
  std::string context =
      all.front() + " failed (exit code " + std::to_string(ran->exit_code) + "): ";
  for (const char c : ran->errors) context += c == '\n' ? ' ' : c;
  context.erase(context.find_last_not_of(' ') + 1);
  const std::string_view hint = native_hint_for(ran->errors);
  return Error{.fault = hint == capability_hint ? Fault::denied : Fault::internal,
               .context = context += hint};
}

bool is_ours(const nlmsghdr& message) {
  const nlattr* name = nullptr;
  mnl_attr_parse(
      &message, sizeof(nfgenmsg),
      [](const nlattr* attribute, void* to) {
        if (mnl_attr_get_type(attribute) == NFTA_TABLE_NAME)
          *static_cast<const nlattr**>(to) = attribute;
        return MNL_CB_OK;
      },
      static_cast<void*>(&name));
  if (name == nullptr) return false;
  const std::string_view text = mnl_attr_get_str(name);
  return std::any_of(std::begin(native_tables), std::end(native_tables),
                     [&](auto table) { return text == table || text == draft_name(table); });
}

Result<std::string> list_table(const std::string& name, bool stateless) {
  std::vector<std::string> arguments{"list", "table", "inet", name};
  if (stateless) arguments.insert(arguments.begin(), "-s");
  return run_nft(arguments, "");
}

// The names of our tables that are there.
Result<std::vector<std::string>> present_tables() {
  const auto listed = run_nft({"list", "tables", "inet"}, "");
  if (!listed) return listed.error();
  std::vector<std::string> out;
  for (const auto table : native_tables) {
    if (listed->find("table inet " + std::string(table) + "\n") != std::string::npos)
      out.emplace_back(table);
  }
  return out;
}

}  // namespace

Result<bool> has_native_tables() {
  const std::unique_ptr<mnl_socket, int (*)(mnl_socket*)> socket(
      mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC), mnl_socket_close);
  const auto failed = [] {
    return Error{.context = std::string("nf_tables: ") + std::strerror(errno)};
  };
  // A kernel without nfnetlink, or without nf_tables below, has no table.
  if (!socket && (errno == EPROTONOSUPPORT || errno == EAFNOSUPPORT)) return false;
  if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0) return failed();
  alignas(nlmsghdr) char room[8 * 1024];
  auto* const header = mnl_nlmsg_put_header(room);
  header->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE;
  header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  *static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg))) = {NFPROTO_INET,
                                                                                   NFNETLINK_V0, 0};
  if (mnl_socket_sendto(socket.get(), header, header->nlmsg_len) < 0) return failed();
  bool found = false;
  for (int went = MNL_CB_OK; went == MNL_CB_OK;) {
    const ssize_t got = mnl_socket_recvfrom(socket.get(), room, sizeof room);
    if (got < 0) return failed();
    went = mnl_cb_run(
        room, static_cast<std::size_t>(got), 0, mnl_socket_get_portid(socket.get()),
        [](const nlmsghdr* message, void* to) {
          if (is_ours(*message)) *static_cast<bool*>(to) = true;
          return MNL_CB_OK;
        },
        &found);
    if (went < 0) return errno == EINVAL || errno == EOPNOTSUPP ? Result<bool>(false) : failed();
  }
  return found;
}

Result<NativeRules> read_native() {
  const auto present = present_tables();
  if (!present) return present.error();
  NativeRules out;
  for (const auto& table : *present) {
    const auto listing = list_table(table, true);
    if (!listing) return listing.error();
    out[table] = parse_native_table(*listing);
  }
  return out;
}

Result<NativeRules> as_listed(const NativeRules& rules) {
  if (const auto loaded = load_native(native_draft(rules)); !loaded) return loaded.error();
  NativeRules out;
  std::optional<Error> failed;
  for (const auto& [table, chains] : rules) {
    const auto listing = list_table(draft_name(table), true);
    if (listing)
      out[table] = parse_native_table(*listing);
    else
      failed = listing.error();
  }
  if (const auto removed = load_native(draft_removal(rules)); !removed) return removed.error();
  if (failed) return *failed;
  return out;
}

Result<void> load_native(const std::string& input) {
  const auto ran = run_nft({"-f", "-"}, input);
  if (!ran) return ran.error();
  return {};
}

Result<std::string> saved_native() {
  const auto present = present_tables();
  if (!present) return present.error();
  std::string out;
  for (const auto& table : *present) {
    const auto listing = list_table(table, false);
    if (!listing) return listing.error();
    out += *listing;
  }
  return out;
}

}  // namespace sallyport::rules
