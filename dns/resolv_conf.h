// resolv.conf(5), as far as the DNS proxy and the redirect rules need it: whom to ask, and what the
// application's resolver appends to short names. Pure but for read_resolv_conf().
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/address.h"
#include "agent/core/error.h"

namespace sallyport::dns {

struct ResolvConf {
  std::vector<SocketAddress> servers;  // port 53, in their order
  std::vector<std::string> search;     // lower case, without trailing dots; the last line's
  bool operator==(const ResolvConf&) const = default;
};

// Lines that can't be read are skipped, as glibc does.
ResolvConf parse_resolv_conf(std::string_view text);

// Errors: Fault::internal, the file can't be read.
Result<ResolvConf> read_resolv_conf(const std::string& path);

}  // namespace sallyport::dns
