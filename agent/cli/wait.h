// `sallyport wait` and `sallyport request`: what the injector's lifecycle hooks call, as
// `pilot-agent wait` and `pilot-agent request`.
#pragma once

namespace sallyport::cli {

int run_wait(int argc, char** argv);
int run_request(int argc, char** argv);

}  // namespace sallyport::cli
