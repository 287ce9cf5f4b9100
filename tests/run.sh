#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test. The last line ends "N passed, N failed".
#
#   tests/run.sh                 everything
#   tests/run.sh --only asan     one stage: asan (unit and behaviour tests), tsan (the threaded ones),
#                                fuzz (each target for 30 s), lint (format, clang-tidy), release (quickstart)
#
# Stages share nothing but the compiler cache. Logs lie in build/test-logs; those of what fails are shown.
set -uo pipefail
cd "$(dirname "$0")/.."
only=all
[ "${1:-}" = --only ] && only=${2:?a stage}
case $only in all | asan | tsan | fuzz | lint | release) ;; *) echo "no stage is called $only" >&2; exit 2 ;; esac
jobs=$(nproc)
logs=$PWD/build/test-logs
fuzz_seconds=${FUZZ_SECONDS:-30}
passed=0 failed=0
failures=()
started=$SECONDS

say() { printf '[%4ds] %s\n' $((SECONDS - started)) "$*"; }
wants() { [ "$only" = all ] || [ "$only" = "$1" ]; }

# check NAME COMMAND...: one test of its own (a build, a fuzzer).
check() {
  local name=$1
  shift
  if "$@" > "$logs/$name.log" 2>&1; then
    passed=$((passed + 1))
    say "ok    $name"
  else
    failed=$((failed + 1))
    failures+=("$name")
    say "FAIL  $name"
    tail -n 60 "$logs/$name.log"
    return 1
  fi
}

build() {  # build PRESET TARGET...
  local preset=$1
  shift
  check "configure-$preset" cmake --preset "$preset" &&
    check "build-$preset" cmake --build --preset "$preset" -j "$jobs" -- "$@"
}

# count LOG CODE NAME: adds the cases of one GoogleTest program to the sums. One that died in the middle has no count,
# or a bad exit code: that is a failure too.
count() {
  local log=$1 code=$2 name=$3 ok bad
  ok=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$log" | tail -n 1)
  bad=$(sed -n 's/^\[  FAILED  \] \([0-9]*\) test.*/\1/p' "$log" | tail -n 1)
  ok=${ok:-0} bad=${bad:-0}
  if [ "$bad" = 0 ] && { [ "$code" != 0 ] || [ "$ok" = 0 ]; }; then bad=1; fi
  passed=$((passed + ok)) failed=$((failed + bad))
  if [ "$bad" = 0 ]; then
    say "ok    $name: $ok passed"
  else
    failures+=("$name")
    say "FAIL  $name: $ok passed, $bad failed (exit $code)"
    grep -vE '^\[ +(OK|RUN) ' "$log" | tail -n 100
  fi
}

# suites PRESET PROGRAM...: runs GoogleTest programs, as many at a time as there are processors; one that hangs is
# ended, and fails.
suites() {
  local preset=$1 program out=$logs/$1
  shift
  mkdir -p "$out"
  printf '%s\n' "$@" | xargs -P "$jobs" -I{} bash -c \
    'timeout -k 10 600 build/$0/tests/{} --gtest_brief=1 > "$1/{}.log" 2>&1; echo $? > "$1/{}.code"' "$preset" "$out"
  for program in "$@"; do
    count "$out/$program.log" "$(cat "$out/$program.code" 2>/dev/null || echo 1)" "$preset $program"
  done
}

programs() { (cd "build/$1/tests" && find . -maxdepth 1 -type f -perm -u+x -name "$2" -printf '%f\n' | sort); }

# The longest first: the others run beside it.
end_to_end() {
  programs "$1" 'behaviour_workload_identity'
  programs "$1" 'behaviour_*' | grep -v workload_identity
  programs "$1" 'interop_*'
}

lint() {
  check format bash -c 'git ls-files "*.cpp" "*.h" | xargs clang-format-16 --dry-run -Werror'
  # With the fuzz preset's flags: clang's, and its precompiled header; all sources, as it compiles them.
  { cmake --preset fuzz && cmake --build --preset fuzz --target sallyport_pch sallyport_ca_protocols; } \
    > "$logs/configure-lint.log" 2>&1
  check clang-tidy bash -o pipefail -c "find build/fuzz/CMakeFiles -path '*/Unity/*.cxx' -not -path '*_protocols*' |
    xargs -P $jobs -n 1 clang-tidy-16 -p build/fuzz --quiet --extra-arg=-Wno-unknown-warning-option 2>/dev/null"
  # Each source by itself, too: it includes what it uses.
  { cmake --preset fuzz -B build/alone -DCMAKE_UNITY_BUILD=OFF -DSALLYPORT_FUZZ=OFF -DSALLYPORT_SANITIZE= &&
      cmake --build build/alone --target sallyport_pch sallyport_ca_protocols; } > "$logs/configure-alone.log" 2>&1
  check each-source-alone bash -o pipefail -c "git ls-files 'agent/*.cpp' '[tcdi]*/*.cpp' ':!tests' | xargs -P $jobs -n 8 \
    clang-tidy-16 -p build/alone --quiet --checks=-*,misc-unused-using-decls --extra-arg=-Wno-unknown-warning-option 2>/dev/null"
}

asan() {
  build asan-ubsan all || return
  export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1
  suites asan-ubsan tidy_test $(programs asan-ubsan 'unit_*')
  suites asan-ubsan $(end_to_end asan-ubsan)
}

tsan() {
  local threaded="unit_net unit_dns unit_upstream unit_observe unit_config unit_admin unit_proxy unit_ca"
  build tsan $threaded end_to_end || return
  suites tsan $threaded
  suites tsan $(end_to_end tsan)
}

fuzz() {
  build fuzz fuzzers || return
  local target targets
  targets=$(programs fuzz '*_fuzz')
  for target in $targets; do
    mkdir -p "build/fuzz-corpus/$target"
    (
      "build/fuzz/tests/$target" -max_total_time="$fuzz_seconds" -max_len=70000 -timeout=10 -rss_limit_mb=2048 \
        -print_final_stats=1 "build/fuzz-corpus/$target" "tests/fuzz/corpus/${target%_fuzz}" > "$logs/$target.out" 2>&1
      echo $? > "$logs/$target.code"
    ) &
  done
  wait
  for target in $targets; do
    check "fuzz-$target" bash -c 'tail -n 40 "$1.out"; exit "$(cat "$1.code")"' - "$logs/$target"
  done
}

main() {
  mkdir -p "$logs"
  deploy/install-deps.sh test || { failed=1 failures=(packages); return; }
  wants asan && asan
  wants tsan && tsan
  wants fuzz && fuzz
  wants release && check quickstart deploy/quickstart.sh
  wants lint && lint
}

main
[ ${#failures[@]} -gt 0 ] && printf 'failed: %s\n' "${failures[*]}"
say "$passed passed, $failed failed"
[ "$failed" = 0 ]
