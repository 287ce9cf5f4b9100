// Probes of applications that speak HTTPS are the only user of Asio's TLS.
#include <boost/asio/ssl/impl/src.hpp>
