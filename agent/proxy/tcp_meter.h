// What Istio's metrics count of an opaque connection: opened with the first report, bytes with
// each, closed with the last. Reports come every reportingInterval of the Telemetry and at the end,
// as those of Istio's stats filter.
//
// Threading: the worker's.
#pragma once
#include <boost/intrusive/list.hpp>

#include "agent/net/loop.h"
#include "agent/net/relay.h"
#include "agent/observe/standard_metrics.h"
#include "tls/ssl.h"

namespace sallyport::proxy {

class Worker;
class TcpMeters;

// Of one connection, which has it as a part.
class TcpMeter : public boost::intrusive::list_base_hook<
                     boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
public:
  TcpMeter() = default;
  TcpMeter(const TcpMeter&) = delete;
  virtual ~TcpMeter() = default;

  void start(TcpMeters& all);
  // The labels are those of the first report's `record`.
  void report(Worker& worker, const observe::AccessRecord& record,
              const observe::Destination& destination, const net::RelayCounts& counts);
  void end();  // REQUIRES: report() was called.

private:
  friend class TcpMeters;
  virtual void tell(Worker& worker) = 0;  // calls report() with what is known by now

  observe::StandardMetrics::TcpSeries series_;
  net::RelayCounts told_;
  bool begun_ = false;
};

class TcpMeters {
public:
  void tick(Worker& worker);  // each

private:
  friend class TcpMeter;
  boost::intrusive::list<TcpMeter, boost::intrusive::constant_time_size<false>> all_;
  net::Loop::Clock::time_point last_{};
};

// Of a connection that is closed without an upstream: opened and closed. Nothing of one that no
// filter chain took, as with Istio.
void count_refused(Worker& worker, const observe::AccessRecord& record);

// Of the TLS connection `ssl`, whose handshake is done; null: it is plaintext. A name that nobody
// vouches for is none. Computed once a connection.
const observe::Principals* principals_of(observe::StandardMetrics& metrics, const SSL* ssl);

}  // namespace sallyport::proxy
