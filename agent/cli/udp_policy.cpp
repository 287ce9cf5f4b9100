#include "agent/cli/udp_policy.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sallyport::cli {
namespace {

Error not_that_user(uint32_t user, const char* what) {
  return {.fault = Fault::internal,
          .side = Side::local,
          .context = "PROXY_UID " + std::to_string(user) + ": " + what + ": " +
                     std::strerror(errno) + "; it takes the capability SETUID"};
}

Result<void> become(uint32_t user) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capget, &header, data) != 0) return not_that_user(user, "read capabilities");
  const uint32_t kept = data[0].permitted & (1U << CAP_NET_ADMIN | 1U << CAP_NET_BIND_SERVICE);
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return not_that_user(user, "keep capabilities");
  if (setresuid(user, user, user) != 0) return not_that_user(user, "become this user");
  data[0] = {.effective = kept, .permitted = kept, .inheritable = 0};
  data[1] = {};
  if (syscall(SYS_capset, &header, data) != 0) return not_that_user(user, "keep NET_ADMIN");
  return {};
}

}  // namespace

std::optional<istio::UdpPolicy> udp_policy_of(const std::string& text) {
  if (text == "off") return istio::UdpPolicy::off;
  if (text == "log") return istio::UdpPolicy::log;
  if (text == "enforce") return istio::UdpPolicy::enforce;
  return std::nullopt;
}

Result<std::optional<rules::UdpPolicy::Kernel>> open_udp_policy(const istio::Proxy& proxy,
                                                                uint32_t user) {
  std::optional<rules::UdpPolicy::Kernel> none;
  if (proxy.udp_policy == istio::UdpPolicy::off || proxy.type != istio::Proxy::Type::sidecar)
    return none;
  auto kernel = rules::UdpPolicy::open(proxy.udp_policy);
  if (!kernel) return while_doing("--udp-policy", kernel.error());
  if (user != 0 && geteuid() == 0 && proxy.tproxy_mark == 0) {
    if (auto became = become(user); !became) return became.error();
  }
  return std::optional(std::move(*kernel));
}

}  // namespace sallyport::cli
