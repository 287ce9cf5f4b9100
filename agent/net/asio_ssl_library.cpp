// The TLS part of Asio, which BOOST_ASIO_SEPARATE_COMPILATION leaves to one source.
#include <boost/asio/ssl/impl/src.hpp>
