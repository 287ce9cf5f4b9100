// A pod's annotations as Istio's injector judges them: the values that it refuses, and what neither
// it nor we know by that name. Pure.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace sallyport::cli {

struct AnnotationNote {
  std::string name;    // of the annotation
  std::string reason;  // with the name and the value
};

// The first annotation, by name, with a value that Istio's injector refuses
// (pkg/kube/inject/validate.go), or a proxy.istio.io/config that the sidecar could not start with.
std::optional<AnnotationNote> refused_annotation(
    const std::map<std::string, std::string>& annotations);

// Annotations under Istio's prefixes for sidecars that are not Istio's, and fields of
// proxy.istio.io/config without effect: with the near name, if there is one.
std::vector<AnnotationNote> unknown_annotations(
    const std::map<std::string, std::string>& annotations);

}  // namespace sallyport::cli
