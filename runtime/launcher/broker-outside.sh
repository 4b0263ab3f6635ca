#!/bin/sh
# The other side of SWARMPROOF_NATS_EXTERNAL: runs the broker that a swarm describes in CONFIG.
# usage: broker-outside.sh CONFIG [NATS-SERVER]
# It runs while CONFIG is there, starts anew when CONFIG says something else, and ends when it is gone:
# another text has other keys, and the broker of an earlier swarm would let nobody in.
set -u
config=$1
program=${2:-nats-server}
broker=

end() {
  [ -z "$broker" ] && return
  kill -TERM "$broker" 2>/dev/null
  wait "$broker"
  broker=
}

trap 'end; exit 0' TERM INT
while :; do
  if [ -f "$config" ]; then
    running=$(cat "$config")
    "$program" -c "$config" &
    broker=$!
    while kill -0 "$broker" 2>/dev/null && [ "$(cat "$config" 2>/dev/null)" = "$running" ]; do
      sleep 0.2
    done
    end
  fi
  sleep 0.2
done
