// Host names as a resolver sees them: which are none, and what a short one may stand for. Pure.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dns/channel.h"

namespace sallyport::dns {

// As names are compared: in lower case, without the root's dot.
std::string canonical(std::string_view name);

// Why no server need be asked for `name` (RFC 1035 section 2.3.4: labels of 1 to 63 bytes, 253 in
// all without the last dot). nullopt: it is a name.
std::optional<std::string> name_problem(std::string_view name);

// The full names to ask for, in their order (resolv.conf(5), as c-ares): a name with a trailing dot
// is absolute; one with at least ndots dots is tried as it is before the search domains, one with
// fewer after them. Without trailing dots. Never empty.
std::vector<std::string> full_names(std::string_view name, const Search& search);

}  // namespace sallyport::dns
