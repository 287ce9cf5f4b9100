// `sallyport egress-report`: from ALLOW_ANY to REGISTRY_ONLY.
#pragma once

namespace sallyport::cli {

int run_egress_report(int argc, char** argv);  // exit codes: its --help

}  // namespace sallyport::cli
