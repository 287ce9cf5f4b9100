// Envoy's response flags by name (istio-api.md 3.4).
#include <algorithm>

#include "agent/observe/access_record.h"

namespace sallyport::observe {
namespace {

struct FlagName {
  uint32_t flag;
  std::string_view name, long_name;
};
// Envoy writes them in the order in which they came up: a delay comes before everything, a retry
// limit before the failure that hit it.
constexpr FlagName names[] = {{DI, "DI", "DelayInjected"},
                              {URX, "URX", "UpstreamRetryLimitExceeded"},
                              {UH, "UH", "NoHealthyUpstream"},
                              {UF, "UF", "UpstreamConnectionFailure"},
                              {UO, "UO", "UpstreamOverflow"},
                              {NR, "NR", "NoRouteFound"},
                              {NC, "NC", "NoClusterFound"},
                              {UT, "UT", "UpstreamRequestTimeout"},
                              {UC, "UC", "UpstreamConnectionTermination"},
                              {UR, "UR", "UpstreamRemoteReset"},
                              {LR, "LR", "LocalReset"},
                              {DC, "DC", "DownstreamConnectionTermination"},
                              {DR, "DR", "DownstreamRemoteReset"},
                              {DT, "DT", "DurationTimeout"},
                              {UMSDR, "UMSDR", "UpstreamMaxStreamDurationReached"},
                              {SI, "SI", "StreamIdleTimeout"},
                              {DPE, "DPE", "DownstreamProtocolError"},
                              {UPE, "UPE", "UpstreamProtocolError"},
                              {IH, "IH", "InvalidEnvoyRequestHeaders"},
                              {LH, "LH", "FailedLocalHealthCheck"},
                              {FI, "FI", "FaultInjected"},
                              {RL, "RL", "RateLimited"},
                              {RLSE, "RLSE", "RateLimitServiceError"},
                              {UAEX, "UAEX", "UnauthorizedExternalService"},
                              {DF, "DF", "DnsResolutionFailed"},
                              {OM, "OM", "OverloadManagerTerminated"},
                              {DO, "DO", "DropOverload"},
                              {RFCF, "RFCF", "ResponseFromCacheFilter"},
                              {NFCF, "NFCF", "NoFilterConfigFound"}};

constexpr std::size_t bytes_of(std::string_view FlagName::*which) {
  std::size_t sum = 0;
  for (const FlagName& flag : names) sum += (flag.*which).size() + 1;
  return sum;
}
static_assert(bytes_of(&FlagName::name) <= flags_max);
static_assert(bytes_of(&FlagName::long_name) <= long_flags_max);

char* write_names(char* to, uint32_t flags, bool http, std::string_view FlagName::*which) {
  char* const begin = to;
  const auto put = [&](const FlagName& flag) {
    if (to != begin) *to++ = ',';
    to = std::copy((flag.*which).begin(), (flag.*which).end(), to);
  };
  const FlagName* last = nullptr;  // of TCP: the only attempt fails, and with it the limit is hit
  for (const FlagName& flag : names) {
    if (!(flags & flag.flag)) continue;
    if (flag.flag == URX && !http)
      last = &flag;
    else
      put(flag);
  }
  if (last) put(*last);
  if (to == begin) *to++ = '-';
  return to;
}

}  // namespace

char* write_flags(char* to, uint32_t flags, bool http) {
  if (flags == no_flag) return *to = '-', to + 1;
  return write_names(to, flags, http, &FlagName::name);
}

char* write_long_flags(char* to, uint32_t flags, bool http) {
  return write_names(to, flags, http, &FlagName::long_name);
}

}  // namespace sallyport::observe
