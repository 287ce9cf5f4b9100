// Anchor of the precompiled header: CMake needs a source that builds it.
