// TPROXY's sockets: they may have addresses that are not this machine's.
#pragma once

namespace sallyport::net {

// IP_TRANSPARENT, IPV6_TRANSPARENT; takes CAP_NET_ADMIN. Returns errno's value, 0 for done.
int set_transparent(int fd, bool v6);

}  // namespace sallyport::net
