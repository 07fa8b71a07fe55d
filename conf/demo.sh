#!/bin/sh
# Shows Rondo at work: three echo backends (a, b, c), Rondo in front of them, a few requests being balanced.
#   conf/demo.sh build/rondo          stays up until Ctrl-C
#   conf/demo.sh build/rondo --once   stops everything after showing; exits 0 only if all of it worked
set -u

rondo=${1:-build/rondo}
once=${2:-}
case $rondo in */*) ;; *) rondo=./$rondo ;; esac
if [ ! -x "$rondo" ] || { [ -n "$once" ] && [ "$once" != --once ]; }; then
  echo "usage: conf/demo.sh BINARY [--once]" >&2
  exit 2
fi
work=$(mktemp -d) || exit 1
pids=""

# Every program that was started is ended by its own pid and must end well.
stop() {
  status=$1
  trap - INT TERM EXIT
  for pid in $pids; do kill "$pid" 2> /dev/null; done
  for pid in $pids; do wait "$pid" || status=1; done
  rm -rf "$work"
  exit "$status"
}
fail() {
  echo "demo: $1" >&2
  cat "$work"/*.log >&2
  stop 1
}
trap 'stop 0' INT TERM
trap 'stop 1' EXIT

# address LOG PID: waits until program PID, which writes LOG, has said where it listens; at most ten seconds.
address() {
  tries=0
  # A program that has ended but was not waited for has a pid still, but no executable.
  while [ $tries -lt 200 ] && [ -e "/proc/$2/exe" ]; do
    found=$(sed -n 's/.*listening on \([^ ]*\).*/\1/p' "$1" | head -n 1)
    if [ -n "$found" ]; then
      echo "$found"
      return 0
    fi
    sleep 0.05
    tries=$((tries + 1))
  done
  return 1
}

echo "Three backends:"
backends=""
for name in a b c; do
  : > "$work/$name.log"
  "$rondo" echo --listen 127.0.0.1:0 --name "$name" 2> "$work/$name.log" &
  pids="$pids $!"
  at=$(address "$work/$name.log" $!) || fail "backend $name did not start"
  echo "  rondo echo --listen $at --name $name"
  backends="$backends --backend $at"
done

start_rondo() {
  : > "$work/rondo.log"
  # shellcheck disable=SC2086  # one word for each backend
  "$rondo" run --listen "$1" $backends > "$work/access.log" 2> "$work/rondo.log" &
  proxy=$!
}
echo "Rondo in front of them:"
start_rondo 127.0.0.1:8080
if ! front=$(address "$work/rondo.log" "$proxy"); then
  wait "$proxy"
  start_rondo 127.0.0.1:0  # 8080 is taken: any free port will do
  front=$(address "$work/rondo.log" "$proxy") || fail "Rondo did not start"
fi
pids="$proxy $pids"
echo "  rondo run --listen $front$backends"
echo

# One curl, one connection: the requests take the backends in turn.
urls=""
for number in 1 2 3 4 5 6; do urls="$urls http://$front/$number"; done
echo "\$ curl$urls"
# shellcheck disable=SC2086
curl -sS --max-time 10 -D "$work/headers" $urls || fail "not every request was answered"
seen=$(tr -d '\r' < "$work/headers" | sed -n 's/^[Xx]-[Bb]ackend: //p' | tr '\n' ' ')
echo
failed=0
for name in a b c; do
  case " $seen" in *" $name "*) ;; *) failed=1 ;; esac
done
[ $failed -eq 0 ] || fail "not every backend took part: $seen"
echo "Six requests went to $seen- Rondo listens on http://$front"
# Where another program has port 9900, the proxy serves without its admin API.
admin=$(sed -n 's/.*admin API on \([^ ]*\).*/\1/p' "$work/rondo.log" | head -n 1)
if [ -n "$admin" ]; then
  echo
  echo "\$ rondo ctl backends default"
  "$rondo" ctl --admin "http://$admin" backends default || fail "the admin API does not answer"
  echo
  echo "The admin API and its page are on http://$admin/"
fi
[ "$once" != --once ] || stop 0
echo "Ctrl-C stops it; requests are logged here."
tail -n +1 -f "$work/access.log" &
pids="$pids $!"
wait "$proxy"
fail "Rondo ended"
