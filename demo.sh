#!/usr/bin/env bash
# Builds and starts the cloud, one edge agent and simulated devices, and stops all of them on Ctrl-C or SIGTERM.
# 'demo.sh build' only builds them.
# KAFKA_PORT, MQTT_PORT, HTTP_PORT, EDGE_HTTP_PORT (0: any free one), DATA_DIR, DEVICES and RATE change what they say.
set -euo pipefail

if [[ -n ${DATA_DIR:-} && $DATA_DIR != /* ]]; then DATA_DIR=$PWD/$DATA_DIR; fi
cd "$(dirname "${BASH_SOURCE[0]}")"
export LC_ALL=C DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 MSBUILDTERMINALLOGGER=off

KAFKA_PORT=${KAFKA_PORT:-9092}
MQTT_PORT=${MQTT_PORT:-1883}
HTTP_PORT=${HTTP_PORT:-8080}
EDGE_HTTP_PORT=${EDGE_HTTP_PORT:-8081}
DATA_DIR=${DATA_DIR:-$PWD/.demo}
DEVICES=${DEVICES:-20}
RATE=${RATE:-1}
readonly READY_SECONDS=60 STOP_SECONDS=40 TAIL_LINES=15

readonly PROJECTS=(cloud/Tributary.Cloud edge/Tributary.Edge firmware-sim/Tributary.FirmwareSim)
readonly SOURCES=(cloud contracts edge firmware-sim Directory.Build.props Directory.Packages.props global.json)
readonly BUILT=artifacts/demo/built
readonly CLOUD=cloud/Tributary.Cloud/bin/Release/net10.0/tributary.dll
readonly EDGE=edge/Tributary.Edge/bin/Release/net10.0/tributary-edge.dll
readonly SIMULATOR=firmware-sim/Tributary.FirmwareSim/bin/Release/net10.0/firmware-sim.dll
declare -A pids=() names=()

say() { printf '%s\n' "$*" >&2; }

# --- What is needed -------------------------------------------------------------------------------------------------------------------

install_tools() {
    local missing=() root=()
    command -v mosquitto_pub >/dev/null || missing+=(mosquitto-clients)
    command -v kcat >/dev/null || missing+=(kcat)
    command -v curl >/dev/null || missing+=(curl)
    ((${#missing[@]})) || return 0
    if ! command -v apt-get >/dev/null; then
        say "not found: ${missing[*]} (names as in Debian); install them to try the commands below. The demo goes on without them."
        return 0
    fi
    if ((EUID != 0)); then
        if ! sudo -n true 2>/dev/null; then
            say "not found: ${missing[*]}. Install them to try the commands below: sudo apt-get install ${missing[*]}"
            say "The demo goes on without them."
            return 0
        fi
        root=(sudo -n)
    fi
    say "installing ${missing[*]}"
    if ! { "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq \
        && "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >/dev/null; then
        say "could not install ${missing[*]}; the demo goes on without them."
    fi
}

build() {
    if ! command -v dotnet >/dev/null; then
        say "the .NET 10 SDK is missing: there is no 'dotnet' on the PATH. See https://learn.microsoft.com/dotnet/core/install/linux"
        exit 1
    fi
    # Whatever is newer than the last build is built again; otherwise a start takes seconds.
    local project code changed
    if [[ -e $BUILT && -e $CLOUD && -e $EDGE && -e $SIMULATOR ]]; then
        changed=$(find "${SOURCES[@]}" \( -name bin -o -name obj \) -prune -o -type f -newer "$BUILT" -print -quit)
        [[ -n $changed ]] || return 0
    fi
    say "building"
    mkdir -p "$(dirname "$BUILT")"
    touch "$BUILT.new"
    for project in "${PROJECTS[@]}"; do
        code=0
        dotnet build "$project" -c Release -v quiet -nodeReuse:false </dev/null >"$DATA_DIR/build.log" 2>&1 &
        pids[build]=$!
        wait "${pids[build]}" || code=$?
        unset "pids[build]"
        if ((code != 0)); then
            tail -n "$TAIL_LINES" "$DATA_DIR/build.log" >&2
            say "building $project failed (the whole output is in $DATA_DIR/build.log)"
            exit 1
        fi
    done
    mv "$BUILT.new" "$BUILT"
}

# --- Processes ------------------------------------------------------------------------------------------------------------------------

# start NAME DLL ARGUMENT...: standard output goes to NAME.out, standard error to NAME.log
start() {
    local name=$1
    shift
    : >"$DATA_DIR/$name.out"
    dotnet exec "$@" </dev/null >"$DATA_DIR/$name.out" 2>"$DATA_DIR/$name.log" &
    pids[$name]=$!
    names[$!]=$name
}

# ready NAME: waits for its READY line
ready() {
    local name=$1 code=0 deadline=$((SECONDS + READY_SECONDS))
    until grep -q '^READY ' "$DATA_DIR/$name.out"; do
        if ! kill -0 "${pids[$name]}" 2>/dev/null; then
            wait "${pids[$name]}" || code=$?
            gave_up "$name" "$code"
        fi
        if ((SECONDS >= deadline)); then
            say "$name was not ready within $READY_SECONDS seconds"
            tail -n "$TAIL_LINES" "$DATA_DIR/$name.log" >&2
            stop_all
            exit 1
        fi
        sleep 0.1
    done
}

# address NAME KEY: the HOST:PORT that its READY line gives
address() { sed -n "s/^READY \(.* \)\?$2=\([^ ]*\).*/\2/p" "$DATA_DIR/$1.out"; }

# Waits until readings have reached the cloud, so that the commands find their topic. By bash alone: curl may be missing.
first_readings() {
    local page="" deadline=$((SECONDS + READY_SECONDS)) http
    http=$(address edge http)
    until grep -q '"ackedOffset": *[1-9]' <<<"$page"; do
        ((SECONDS < deadline)) || { say "no reading has reached the cloud within $READY_SECONDS seconds; see $DATA_DIR/edge.log"; return 0; }
        sleep 0.2
        page=$( { exec 3<>"/dev/tcp/${http%:*}/${http##*:}" && printf 'GET /status HTTP/1.0\r\n\r\n' >&3 && cat <&3; } 2>/dev/null) || page=""
    done
}

# gave_up NAME CODE: a process ended that should not have; says which and why, stops the others.
gave_up() {
    local name=$1 code=$2
    unset "pids[$name]"
    say "$name ended with exit code $code. The last lines of $DATA_DIR/$name.log:"
    tail -n "$TAIL_LINES" "$DATA_DIR/$name.log" >&2
    stop_all
    exit 1
}

# Stops what this script started, by id: devices first, so that nothing is in flight when the agent and then the cloud end.
stop_all() {
    trap '' INT TERM
    local name pid deadline
    for name in build simulator edge cloud; do
        pid=${pids[$name]:-}
        [[ -n $pid ]] || continue
        kill -TERM "$pid" 2>/dev/null || true
        deadline=$((SECONDS + STOP_SECONDS))
        while kill -0 "$pid" 2>/dev/null && ((SECONDS < deadline)); do sleep 0.1; done
        if kill -KILL "$pid" 2>/dev/null; then
            say "$name did not end within $STOP_SECONDS seconds and was killed"
        fi
        wait "$pid" 2>/dev/null || true
    done
    pids=()
}

stop_and_exit() {
    say "stopping"
    stop_all
    if [[ " ${names[*]:-} " == *" simulator "* ]]; then say "the simulator: $(tail -n 1 "$DATA_DIR/simulator.out")"; fi
    exit 0
}

# --- The demo -------------------------------------------------------------------------------------------------------------------------

mkdir -p "$DATA_DIR"
trap stop_and_exit INT TERM
trap stop_all EXIT
if [[ ${1:-} == build ]]; then
    build
    exit 0
fi
install_tools
build

start cloud "$CLOUD" serve --data "$DATA_DIR/cloud" \
    --kafka "127.0.0.1:$KAFKA_PORT" --http "127.0.0.1:$HTTP_PORT"
ready cloud
kafka=$(address cloud kafka)

start edge "$EDGE" run --data "$DATA_DIR/edge" --id demo --cloud "$kafka" \
    --mqtt "127.0.0.1:$MQTT_PORT" --http "127.0.0.1:$EDGE_HTTP_PORT"
ready edge
mqtt=$(address edge mqtt)

start simulator "$SIMULATOR" --mqtt "$mqtt" --devices "$DEVICES" --rate "$RATE"
ready simulator
first_readings

cat <<END
READY kafka=$kafka http=$(address cloud http) mqtt=$mqtt edge-http=$(address edge http)

Try, in another terminal:
  mosquitto_pub -p ${mqtt##*:} -q 1 -t devices/d1/temperature -m 21.5
  kcat -b $kafka -C -t telemetry -o beginning -c 100 -f '%k %p %o %s\n'
  curl -s http://$(address edge http)/status

State is kept in $DATA_DIR. Ctrl-C stops everything.
END

died="" code=0
wait -n -p died "${pids[@]}" || code=$?
gave_up "${names[$died]}" "$code"
