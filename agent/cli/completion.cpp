#include "agent/cli/completion.h"

#include <cstdio>
#include <string>

#include "agent/cli/command_line.h"
#include "agent/core/suggest.h"

namespace sallyport::cli {
namespace {

// The scripts read --help, so that they know what this program knows: words at the beginning of
// indented lines are commands, and dashes there begin flags.

constexpr const char* help = R"(Prints a script that completes sallyport's commands and flags.

Usage: sallyport completion bash|zsh|fish

Examples:
    source <(sallyport completion bash)                             in ~/.bashrc
    source <(sallyport completion zsh)                              in ~/.zshrc, after compinit
    sallyport completion fish > ~/.config/fish/completions/sallyport.fish
)";

constexpr const char* bash_script = R"sh(# bash completion of sallyport
_sallyport_words() {
  sallyport "$@" --help 2>/dev/null | sed -n \
    -e 's/^  \([a-z][a-z-]*\)[ ,].*/\1/p' -e 's/^  \(-[^ {]*\).*/\1/p' | tr , '\n'
}
_sallyport() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
  local command=${COMP_WORDS[1]} words= path=()
  COMPREPLY=()
  case $previous in
    -o|--output)
      case $command in
        proxy-config|pc) words="short json yaml" ;;
        analyze) words="log json yaml" ;;
        *) words="text json yaml" ;;
      esac ;;
    --status) words="HEALTHY UNHEALTHY" ;;
    --direction) words="inbound outbound" ;;
    --type) words="HTTP TCP HTTP+TCP" ;;
    --level|--log-level) words="trace debug info warning error critical off" ;;
    --failure-threshold|--output-threshold) words="Info Warning Error" ;;
    -f|--file|--filename|--config|--mesh-config) ;;
    *)
      if [[ $COMP_CWORD -gt 1 ]]; then path=("$command"); fi
      if [[ $COMP_CWORD -gt 2 && ( $command == proxy-config || $command == pc ) ]]; then
        path+=("${COMP_WORDS[2]}")
      fi
      if [[ $command == completion && $COMP_CWORD -gt 1 ]]; then
        words="bash zsh fish"
      else
        words=$(_sallyport_words "${path[@]}")
      fi ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _sallyport sallyport
)sh";

// clang-format reads what stands in this one as code.
// clang-format off
constexpr const char* zsh_script = R"sh(#compdef sallyport
# zsh completion of sallyport
_sallyport() {
  local -a found arguments
  case ${words[CURRENT-1]} in
    -o|--output)
      case ${words[2]} in
        proxy-config|pc) compadd -- short json yaml ;;
        analyze) compadd -- log json yaml ;;
        *) compadd -- text json yaml ;;
      esac
      return ;;
    --status) compadd -- HEALTHY UNHEALTHY; return ;;
    --direction) compadd -- inbound outbound; return ;;
    --type) compadd -- HTTP TCP HTTP+TCP; return ;;
    --level|--log-level) compadd -- trace debug info warning error critical off; return ;;
    --failure-threshold|--output-threshold) compadd -- Info Warning Error; return ;;
    -f|--file|--filename|--config|--mesh-config) _files; return ;;
  esac
  (( CURRENT > 2 )) && arguments+=("${words[2]}")
  if (( CURRENT > 3 )) && [[ ${words[2]} == (proxy-config|pc) ]]; then
    arguments+=("${words[3]}")
  fi
  if (( CURRENT > 2 )) && [[ ${words[2]} == completion ]]; then
    compadd -- bash zsh fish; return
  fi
  found=(${(f)"$(sallyport $arguments --help 2>/dev/null |
    sed -n -e 's/^  \([a-z][a-z-]*\)[ ,].*/\1/p' -e 's/^  \(-[^ {]*\).*/\1/p' | tr , '\n')"})
  compadd -- $found || _files
}
compdef _sallyport sallyport
)sh";
// clang-format on

constexpr const char* fish_script = R"sh(# fish completion of sallyport
function __sallyport_words
  set -l given (commandline -opc)
  set -l arguments
  switch "$given[-1]"
    case -o --output
      switch "$given[2]"
        case proxy-config pc
          printf '%s\n' short json yaml
        case analyze
          printf '%s\n' log json yaml
        case '*'
          printf '%s\n' text json yaml
      end
      return
    case --status
      printf '%s\n' HEALTHY UNHEALTHY
      return
    case --direction
      printf '%s\n' inbound outbound
      return
    case --type
      printf '%s\n' HTTP TCP HTTP+TCP
      return
    case --level --log-level
      printf '%s\n' trace debug info warning error critical off
      return
    case --failure-threshold --output-threshold
      printf '%s\n' Info Warning Error
      return
  end
  if test (count $given) -gt 1
    set arguments $given[2]
    if test "$given[2]" = completion
      printf '%s\n' bash zsh fish
      return
    end
    if test (count $given) -gt 2; and contains -- $given[2] proxy-config pc
      set arguments $arguments $given[3]
    end
  end
  sallyport $arguments --help 2>/dev/null | sed -n \
    -e 's/^  \([a-z][a-z-]*\)[ ,].*/\1/p' -e 's/^  \(-[^ {]*\).*/\1/p' | tr , '\n'
end
complete -c sallyport -a '(__sallyport_words)'
)sh";

}  // namespace

int run_completion(int argc, char** argv) {
  const std::string shell = argc == 2 ? argv[1] : "";
  if (shell == "--help" || shell == "-h") return std::fputs(help, stdout) < 0;
  const char* const script = shell == "bash"   ? bash_script
                             : shell == "zsh"  ? zsh_script
                             : shell == "fish" ? fish_script
                                               : nullptr;
  if (script) return std::fputs(script, stdout) < 0;
  const std::string hint = did_you_mean(shell, {"bash", "zsh", "fish"});
  std::fprintf(stderr,
               "sallyport completion: one shell is needed, bash, zsh or fish%s%s see sallyport "
               "completion --help\n",
               hint.c_str(), hint.empty() ? ";" : "");
  return exit_usage;
}

}  // namespace sallyport::cli
