// The address ::6 on the loopback interface: the source of the inbound side's IPv6 connections to
// the application, as 127.0.0.6 is for IPv4 (which works by itself, lo being 127.0.0.0/8).
#pragma once
#include "agent/core/error.h"

namespace sallyport::rules {

bool has_loopback_source();

// True when that changed something; it was or was not there already otherwise.
Result<bool> add_loopback_source();
Result<bool> remove_loopback_source();

}  // namespace sallyport::rules
