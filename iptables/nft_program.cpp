#include "iptables/nft_program.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <set>

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

std::string table_name(const nlmsghdr& message) {
  const nlattr* name = nullptr;
  mnl_attr_parse(
      &message, sizeof(nfgenmsg),
      [](const nlattr* attribute, void* to) {
        if (mnl_attr_get_type(attribute) == NFTA_TABLE_NAME)
          *static_cast<const nlattr**>(to) = attribute;
        return MNL_CB_OK;
      },
      static_cast<void*>(&name));
  return name == nullptr ? "" : mnl_attr_get_str(name);
}

Result<std::string> list_table(const std::string& name, bool stateless) {
  std::vector<std::string> arguments{"list", "table", "inet", name};
  if (stateless) arguments.insert(arguments.begin(), "-s");
  return run_nft(arguments, "");
}

using TableNames = std::set<std::string, std::less<>>;

// The names of the inet tables that are there, asked of the kernel itself (nfnetlink).
Result<TableNames> inet_tables() {
  const std::unique_ptr<mnl_socket, int (*)(mnl_socket*)> socket(
      mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC), mnl_socket_close);
  const auto failed = [] {
    return Error{.context = std::string("nf_tables: ") + std::strerror(errno)};
  };
  TableNames out;
  // A kernel without nfnetlink, or without nf_tables below, has no table.
  if (!socket && (errno == EPROTONOSUPPORT || errno == EAFNOSUPPORT)) return out;
  if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0) return failed();
  alignas(nlmsghdr) char room[8 * 1024];
  auto* const header = mnl_nlmsg_put_header(room);
  header->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE;
  header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  *static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg))) = {NFPROTO_INET,
                                                                                   NFNETLINK_V0, 0};
  if (mnl_socket_sendto(socket.get(), header, header->nlmsg_len) < 0) return failed();
  for (int went = MNL_CB_OK; went == MNL_CB_OK;) {
    const ssize_t got = mnl_socket_recvfrom(socket.get(), room, sizeof room);
    if (got < 0) return failed();
    went = mnl_cb_run(
        room, static_cast<std::size_t>(got), 0, mnl_socket_get_portid(socket.get()),
        [](const nlmsghdr* message, void* to) {
          static_cast<TableNames*>(to)->insert(table_name(*message));
          return MNL_CB_OK;
        },
        &out);
    if (went < 0 && (errno == EINVAL || errno == EOPNOTSUPP)) return TableNames{};
    if (went < 0) return failed();
  }
  return out;
}

}  // namespace

Result<bool> has_native_tables() {
  const auto there = inet_tables();
  if (!there) return there.error();
  return std::any_of(std::begin(native_tables), std::end(native_tables), [&](auto table) {
    return there->contains(table) || there->contains(draft_name(table));
  });
}

Result<NativeRules> read_native() {
  const auto there = inet_tables();
  if (!there) return there.error();
  NativeRules out;
  for (const auto table : native_tables) {
    if (!there->contains(table)) continue;
    const auto listing = list_table(std::string(table), true);
    if (!listing) return listing.error();
    out[std::string(table)] = parse_native_table(*listing);
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
  const auto there = inet_tables();
  if (!there) return there.error();
  std::string out;
  for (const auto table : native_tables) {
    if (!there->contains(table)) continue;
    const auto listing = list_table(std::string(table), false);
    if (!listing) return listing.error();
    out += *listing;
  }
  return out;
}

}  // namespace sallyport::rules
