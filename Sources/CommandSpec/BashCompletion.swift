// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// Bash hands over words that it has split at '=' too, unless the user changed COMP_WORDBREAKS. The
// script recognises '--name', '=' and the value in either form and needs no helper package.

extension CommandSet {
  /// Writes the completion script for bash.
  func bashCompletion() -> String {
    """
    # Completion of \(name) for bash. Generated from the command description; do not edit.

    \(bashHelpers)

    \(functionName)() {
      local current=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]-}
      local option=${COMP_WORDS[COMP_CWORD - 1]-} prefix= index
      COMPREPLY=()
      if ((COMP_CWORD == 1)); then
        \(functionName)_words '' "$current" \(words(topics.map(\.name) + ["--help"]))
        return
      fi
      for ((index = 2; index < COMP_CWORD; index++)); do
        [[ ${COMP_WORDS[index]} == -- ]] || continue
        case $verb in
    \(bashCommandCases)
        esac
        break
      done
      if [[ $current == = ]]; then
        current=
      elif [[ $option == = ]] && ((COMP_CWORD > 2)); then
        option=${COMP_WORDS[COMP_CWORD - 2]}
      elif [[ $current == --*=* ]]; then
        option=${current%%=*} prefix=${current%%=*}= current=${current#*=}
      fi
      if ((index >= COMP_CWORD)); then
        case $verb:$option in
    \(bashValueCases)
        esac
        if [[ $current == -* ]]; then
          case $verb in
    \(bashOptionCases)
          esac
          return
        fi
      fi
      case $verb in
    \(bashOperandCases)
      esac
    }

    complete -F \(functionName) \(name)

    """
  }

  /// Functions that turn candidates into replies.
  private var bashHelpers: String {
    """
    # Offers words that begin with what has been typed; prefix stands before every one of them.
    \(functionName)_words() {
      local prefix=$1 typed=$2 word
      shift 2
      for word in "$@"; do
        [[ $word == "$typed"* ]] && COMPREPLY+=("$prefix$word")
      done
      if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} == *= ]]; then
        compopt -o nospace 2>/dev/null
      fi
      return 0
    }

    # Offers files (-f), directories (-d) or commands (-c).
    \(functionName)_paths() {
      local path
      while IFS= read -r path; do
        COMPREPLY+=("$2$path")
      done < <(compgen "$1" -- "$3")
      [[ -n $2 ]] || compopt -o filenames 2>/dev/null
      return 0
    }

    # Offers another element of a comma-separated list.
    \(functionName)_list() {
      local prefix=$1 typed=$2
      shift 2
      if [[ $typed == *,* ]]; then
        \(functionName)_words "$prefix${typed%,*}," "${typed##*,}" "$@"
      else
        \(functionName)_words "$prefix" "$typed" "$@"
      fi
      compopt -o nospace 2>/dev/null
      return 0
    }
    """
  }

  private func words(_ words: [String]) -> String {
    words.map(shellQuoted).joined(separator: " ")
  }

  /// After '--' comes a command, whose own words are most often files.
  private var bashCommandCases: String {
    let names = verbs.filter(\.takesCommand).map(\.name)
    guard !names.isEmpty else { return "      *) ;;" }
    return """
            \(names.joined(separator: " | ")))
              if ((index == COMP_CWORD - 1)); then
                \(functionName)_paths -c '' "$current"
              else
                \(functionName)_paths -f '' "$current"
              fi
              return
              ;;
      """
  }

  private var bashValueCases: String {
    var free: [String] = []
    var lines: [String] = []
    for verb in verbs {
      for option in verb.options where option.placeholder != nil {
        var patterns = ["\(verb.name):--\(option.name)"]
        if let short = option.short { patterns.append("\(verb.name):-\(short)") }
        if let action = bashAction(option.completion) {
          lines.append("      \(patterns.joined(separator: " | ")))")
          lines += ["        \(action)", "        return", "        ;;"]
        } else {
          free += patterns
        }
      }
    }
    // A value that nobody can list must not be answered with operands.
    let nothing = free.isEmpty ? "*) ;;" : "\(free.joined(separator: " | "))) return ;;"
    return (lines + ["      " + nothing]).joined(separator: "\n")
  }

  private var bashOptionCases: String {
    verbs.map { verb in
      let long = verb.options.map { "--\($0.name)" + ($0.placeholder == nil ? "" : "=") }
      let offered = words(long + ["--help"])
      return "        \(verb.name)) \(functionName)_words '' \"$current\" \(offered) ;;"
    }.joined(separator: "\n")
  }

  private var bashOperandCases: String {
    let cases = verbs.compactMap { verb in
      bashAction(verb.operandCompletion).map { "    \(verb.name)) \($0) ;;" }
    }
    let help = "    help) \(functionName)_words '' \"$current\" \(words(verbs.map(\.name))) ;;"
    return (cases + [help]).joined(separator: "\n")
  }

  private func bashAction(_ completion: ValueCompletion) -> String? {
    switch completion {
    case .none: nil
    case .words(let list): "\(functionName)_words \"$prefix\" \"$current\" \(words(list))"
    case .wordList(let list): "\(functionName)_list \"$prefix\" \"$current\" \(words(list))"
    case .file: "\(functionName)_paths -f \"$prefix\" \"$current\""
    case .directory: "\(functionName)_paths -d \"$prefix\" \"$current\""
    }
  }
}
