# Completion for bash: source this file, or copy it to /usr/share/bash-completion/completions/rondo.

# What a running Rondo knows: upstreams, or the backends of one. Silent where there is none.
_rondo_upstreams() {
  rondo ctl status 2>/dev/null | awk 'seen { print $1 } /^UPSTREAM/ { seen = 1 }'
}
_rondo_backends() {
  rondo ctl backends "$1" 2>/dev/null | awk 'NR > 1 { print $1 }'
}

_rondo_reply() {
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
  # Addresses have colons, at which bash splits words.
  declare -F __ltrim_colon_completions > /dev/null && __ltrim_colon_completions "$2"
}

_rondo_ctl() {
  local word=$1 verb=$2 place=$3 upstream=$4
  local common="--admin --token --ca --cert --key --output --help"
  case $verb in
    add) common+=" --weight --max-connections --backup --id --wait --timeout" ;;
    drain) common+=" --timeout --wait" ;;
    remove) common+=" --now --wait" ;;
    set) common+=" --weight --max-connections --backup --state" ;;
    diff) common+=" --drop" ;;
    explain) common+=" --header --method --client --listener" ;;
    events) common+=" --after --count" ;;
  esac
  if [[ $word == -* ]]; then
    _rondo_reply "$common" "$word"
    return
  fi
  case $verb:$place in
    backends:0 | add:0 | drain:0 | remove:0 | set:0) _rondo_reply "$(_rondo_upstreams)" "$word" ;;
    drain:1 | remove:1 | set:1) _rondo_reply "$(_rondo_backends "$upstream")" "$word" ;;
  esac
}

_rondo() {
  local words cword word prev
  if declare -F _get_comp_words_by_ref > /dev/null; then
    _get_comp_words_by_ref -n : words cword
  else
    words=("${COMP_WORDS[@]}") cword=$COMP_CWORD
  fi
  word=${words[cword]} prev=${words[cword - 1]}
  COMPREPLY=()
  case $prev in
    --output) _rondo_reply "table json text" "$word"; return ;;
    --state) _rondo_reply "up draining maintenance" "$word"; return ;;
    --balance) _rondo_reply "round_robin least_connections ip_hash consistent_hash random_two peak_ewma" "$word"; return ;;
    -c | --config) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
  esac
  if ((cword == 1)); then
    _rondo_reply "run check ctl echo explain version --help" "$word"
    return
  fi
  case ${words[1]} in
    ctl)
      if ((cword == 2)); then
        _rondo_reply "status backends add drain remove set reload diff export explain events --help" "$word"
        return
      fi
      # Which of the words without a dash this is.
      local place=0 first="" i
      for ((i = 3; i < cword; ++i)); do
        case ${words[i - 1]} in
          --admin | --token | --ca | --cert | --key | --output | --weight | --max-connections | --id | --timeout | --state) continue ;;
        esac
        [[ ${words[i]} == -* ]] && continue
        ((place++ == 0)) && first=${words[i]}
      done
      _rondo_ctl "$word" "${words[2]}" "$place" "$first"
      ;;
    run) _rondo_reply "--config --listen --backend --balance --admin --help" "$word" ;;
    check) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
    explain) _rondo_reply "--config --header --method --client --listener --output --help" "$word" ;;
    echo) _rondo_reply "--listen --name --delay --status --body-size --help" "$word" ;;
  esac
}

complete -F _rondo rondo
