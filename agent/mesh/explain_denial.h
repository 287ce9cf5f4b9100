// Why no ALLOW policy lets something in, in words. Pure; for people, not for the data path.
#pragma once
#include <string>
#include <vector>

#include "agent/mesh/authorization.h"
#include "agent/mesh/compile.h"

namespace sallyport::mesh {

// Of each rule of the ALLOW policies that select `input.proxy` the first condition that does not
// hold: "AuthorizationPolicy a/b (rules.yaml:3) rule[0]: methods [GET] does not match POST". Of
// many rules the first ones.
// REQUIRES: authorize() answers "none" to `facts`.
std::vector<std::string> why_nothing_allows(const CompileInput& input,
                                            const AuthorizationFacts& facts);

}  // namespace sallyport::mesh
