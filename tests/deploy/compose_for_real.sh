#!/usr/bin/env bash
# Brings docker-compose.yml up on a real Docker Engine and treats it badly: a killed worker, a restarted Postgres, more
# replicas, a worker of this host beside the containers. Ends with 0 where the study has its exact budget.
#
#   sudo tests/deploy/compose_for_real.sh [SCRATCH]      # needs root, Debian 12, about 8 GB and ten minutes; keeps SCRATCH
#
# Where no registry can be reached: the engine is Debian's, unpacked into SCRATCH and run in namespaces of its own; the
# base images are stand-ins, made by debootstrap, with the packages of the active environment. The Dockerfile is built on
# them as it is, so what stands in is Debian's Python for Docker's, and Debian's PostgreSQL 15 for postgres:17.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec </dev/null

scratch=$(realpath -m "${1:-/tmp/optselect-compose}")
engine=$scratch/engine
export DOCKER_HOST=unix://$scratch/docker.sock COMPOSE_PROJECT_NAME=optselect
mkdir -p "$scratch" "$engine"
step() { printf '\n== %s (after %d s)\n' "$1" "$SECONDS"; }

# --- the engine ------------------------------------------------------------------------------------------------------

packages=(docker.io containerd runc iptables libip4tc2 libip6tc2 libxtables12 libnftnl11 libmnl0 libnfnetlink0
    libnetfilter-conntrack3 tini debootstrap)

unpack_engine() {
    [ ! -x "$engine/usr/sbin/dockerd" ] || return 0
    (cd "$scratch" && apt-get download -q "${packages[@]}" >apt.log 2>&1 && for file in *.deb; do dpkg -x "$file" "$engine"; done)
    ln -sf xtables-nft-multi "$engine/usr/sbin/iptables"
    ln -sf xtables-nft-multi "$engine/usr/sbin/ip6tables"
}

# In namespaces of its own: its bridges, rules and cgroups are gone with it. What is published on 127.0.0.1 is reached
# by `here` only.
start_engine() {
    cat >"$scratch/start" <<'INSIDE'
mount --make-rprivate /
ip link set lo up
mount -t sysfs sysfs /sys
# Each hierarchy that processes here are in, named ones too: whoever joins a container, as its health check does, must
# join all of them.
if grep -q '^[1-9]' /proc/self/cgroup; then
    mount -t tmpfs cgroup /sys/fs/cgroup
    grep '^[1-9]' /proc/self/cgroup | while IFS=: read -r _ controllers _; do
        folder=/sys/fs/cgroup/${controllers#name=}
        mkdir "$folder"
        mount -t cgroup -o "${controllers/#name=/none,name=}" cgroup "$folder"
    done
else
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
mount -t tmpfs tmpfs /run
exec dockerd --data-root "$1/data" --exec-root "$1/exec" --pidfile "$1/dockerd.pid" -H "unix://$1/docker.sock"
INSIDE
    PATH=$engine/usr/sbin:$engine/usr/bin:$PATH LD_LIBRARY_PATH=$engine/usr/lib/x86_64-linux-gnu \
        XTABLES_LIBDIR=$engine/usr/lib/x86_64-linux-gnu/xtables \
        unshare --net --mount bash -e "$scratch/start" "$scratch" >"$scratch/dockerd.log" 2>&1 &
    for _ in $(seq 60); do
        docker info >/dev/null 2>&1 && return
        kill -0 $! 2>/dev/null || break
        sleep 1
    done
    echo "the engine does not answer; the end of its log:"
    tail -n 5 "$scratch/dockerd.log"
    exit 1
}

docker() { command "$engine/usr/bin/docker" "$@"; }
here() { nsenter --target "$(cat "$scratch/dockerd.pid")" --net "$@"; }
compose() { docker-compose --profile cpu "$@"; }

leave() {
    [ -S "$scratch/docker.sock" ] && compose down --volumes --timeout 20 >/dev/null 2>&1 || true
    [ -f "$scratch/dockerd.pid" ] && kill "$(cat "$scratch/dockerd.pid")" 2>/dev/null || true
    wait
    rm -rf "$scratch/data" "$scratch/exec"
}
trap leave EXIT

# --- stand-ins for the base images -----------------------------------------------------------------------------------

make_root() {
    [ ! -f "$scratch/root.made" ] || return 0
    local mirror # of this machine's apt
    mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Codename: bookworm' | head -n 1)
    rm -rf "$scratch/root" # what a broken try has left
    DEBOOTSTRAP_DIR=$engine/usr/share/debootstrap "$engine/usr/sbin/debootstrap" --variant=minbase \
        --include=python3,ca-certificates,postgresql-15 bookworm "$scratch/root" $mirror >"$scratch/debootstrap.log"
    touch "$scratch/root.made"
}

# The environment's packages instead of an index; ours itself is installed by the Dockerfile.
stand_in_python() {
    local tag packages root=$scratch/root
    tag=$(sed -n 's/^FROM \(python:[^ ]*\).*/\1/p' Dockerfile)
    packages=$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    mkdir -p "$root/usr/local/lib/python3.11/dist-packages" "$root/usr/local/bin"
    [ -f "$scratch/packages.made" ] || tar -C "$packages" --exclude=./ray --exclude='./*optselect*' --exclude=__pycache__ -c . |
        tar -C "$root/usr/local/lib/python3.11/dist-packages" -x
    touch "$scratch/packages.made"
    python -m pip install -q --upgrade --target "$root/usr/local/lib/python3.11/dist-packages" 'setuptools>=77' wheel
    ln -sf /usr/bin/python3 "$root/usr/local/bin/python"
    printf '#!/bin/sh\nexec python3 -m pip "$@"\n' >"$root/usr/local/bin/pip"
    printf '#!/bin/sh\nexec python3 -m mlflow "$@"\n' >"$root/usr/local/bin/mlflow"
    chmod 755 "$root/usr/local/bin/pip" "$root/usr/local/bin/mlflow"
    tar -C "$root" --exclude=./usr/lib/postgresql --exclude=./var/lib/apt -c . |
        docker import --change 'ENV PIP_NO_INDEX=1 PIP_NO_BUILD_ISOLATION=0 PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore' - "$tag"
}

# Of what the official image does, what the compose file asks for.
stand_in_postgres() {
    local tag root=$scratch/root
    tag=$(sed -n 's/^ *image: \(postgres:.*\)/\1/p' docker-compose.yml)
    cat >"$root/usr/local/bin/entry" <<'INSIDE'
#!/bin/sh
set -eu
PATH=/usr/lib/postgresql/15/bin:$PATH PGDATA=/var/lib/postgresql/data
mkdir -p "$PGDATA" && chown postgres "$PGDATA" && chmod 700 "$PGDATA"
as_postgres() { setpriv --reuid postgres --regid postgres --init-groups "$@"; }
if [ ! -f "$PGDATA/PG_VERSION" ]; then
    install -o postgres -m 600 "$POSTGRES_PASSWORD_FILE" /tmp/password
    as_postgres initdb -U "$POSTGRES_USER" --pwfile=/tmp/password --auth-host=scram-sha-256 -D "$PGDATA"
    rm /tmp/password
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    as_postgres pg_ctl -D "$PGDATA" -o '-h ""' -w start
    as_postgres createdb -h /tmp -U "$POSTGRES_USER" "$POSTGRES_DB" 2>/dev/null ||
        as_postgres createdb -h /var/run/postgresql -U "$POSTGRES_USER" "$POSTGRES_DB"
    as_postgres pg_ctl -D "$PGDATA" -w stop
fi
exec setpriv --reuid postgres --regid postgres --init-groups "$@" -D "$PGDATA" -h '*'
INSIDE
    chmod 755 "$root/usr/local/bin/entry"
    tar -C "$root" --exclude=./usr/local/lib/python3.11 --exclude=./var/lib/apt -c . | docker import \
        --change 'ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin' \
        --change 'ENTRYPOINT ["entry"]' - "$tag"
    printf 'FROM %s\nSTOPSIGNAL SIGINT\n' "$tag" | DOCKER_BUILDKIT=0 docker build -q -t "$tag" -
}

build() {
    local version target
    version=$(sed -n 's/^ *image: optselect-app:${OPTSELECT_TAG:-\(.*\)}/\1/p' docker-compose.yml | head -n 1)
    for target in app mlflow; do
        DOCKER_BUILDKIT=0 docker build -q --network none --target "$target" -t "optselect-$target:$version" .
    done
}

# --- the study -------------------------------------------------------------------------------------------------------

export OPTSELECT_STORAGE=postgresql://optselect@127.0.0.1:5432/optselect MLFLOW_TRACKING_URI=http://127.0.0.1:5000
export OPTSELECT_STORAGE_PASSWORD_FILE=$scratch/password DB_PASSWORD_FILE=$scratch/password OPTSELECT_HOME=$scratch/home
optselect() { here python -m optselect "$@"; }
trials_done() { optselect status fleet --json | python -c 'import json, sys; print(json.load(sys.stdin)["trials"]["complete"])'; }
await_trials() {
    for _ in $(seq 120); do
        [ "$(trials_done)" -lt "$1" ] || return 0
        sleep 2
    done
    echo "no $1 trials within minutes"
    compose logs --tail 20 worker
    exit 1
}

step "a real engine in namespaces"
unpack_engine
start_engine
docker version --format 'engine {{.Server.Version}}, {{.Server.Os}}/{{.Server.Arch}}'

step "stand-ins for the base images"
make_root
stand_in_python
stand_in_postgres

step "docker build of our own Dockerfile"
build

step "docker compose --profile cpu up --wait, from empty volumes"
python -c 'import secrets; print(secrets.token_urlsafe(24))' >"$scratch/password"
chmod 644 "$scratch/password"
WORKERS=2 compose up -d --no-build --wait --quiet-pull || { compose logs --tail 30; exit 1; }
compose ps -a --format 'table {{.Service}}\t{{.State}}\t{{.Status}}'

step "a study from the host, trained by the containers"
optselect launch diabetes --name fleet --optimizers sgd,adam --trials 24 --epochs 40 --seeds 0 --goal best-config --workers 0
await_trials 2

step "kill -9 of a worker's supervisor"
worker=$(compose ps -q worker | head -n 1)
docker kill --signal KILL "$worker" >/dev/null
docker start "$worker" >/dev/null # Docker restarts what ends by itself, not what a person has killed
await_trials 6

step "restart of Postgres"
compose restart postgres >/dev/null
await_trials 10

step "a third replica, and a worker of this host beside them"
compose up -d --no-build --no-recreate --scale worker=3 --wait worker >/dev/null
optselect worker fleet --slots 1 2>&1 | tail -n 2
await_trials 24

step "what came of it"
optselect status fleet
optselect sync fleet
optselect sync fleet --check
optselect status fleet --json | python -c '
import json, sys
trials = json.load(sys.stdin)["trials"]
assert trials["complete"] + trials["diverged"] + trials["failed"] + trials["pruned"] == 24, trials
print("exactly 24 trials ended:", trials)'
here python - <<'INSIDE'
import urllib.request, urllib.error
ask = urllib.request.Request("http://127.0.0.1:5000/api/2.0/mlflow/experiments/search", headers={"Host": "foreign.example"})
try:
    urllib.request.urlopen(ask)
    raise SystemExit("MLflow answers to a foreign name")
except urllib.error.HTTPError as error:
    print("MLflow refuses a foreign host name:", error.code)
INSIDE
for container in $(compose ps -aq); do docker inspect "$container"; done | grep -qF "$(cat "$scratch/password")" &&
    { echo "the password is shown by docker inspect"; exit 1; }
echo "docker inspect shows no password"

step "done"
