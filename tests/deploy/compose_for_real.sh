#!/usr/bin/env bash
# Brings docker-compose.yml up on a real Docker Engine and treats it badly: killed workers, a restarted Postgres, all of it
# stopped, removed and made again, more replicas, a worker of this host and one of a Ray cluster beside the containers. Ends
# with 0 where the study has its exact budget, every epoch once.
#
#   sudo [RAY_PYTHON=VENV/bin/python] tests/deploy/compose_for_real.sh [SCRATCH]
#
# It begins by saying in one line each what it needs and this machine lacks, and ends with 2 then.
#
# Needs root, Debian 12, the active environment installed with -c constraints.txt, about 12 GB and ten minutes, more on busy cores. SCRATCH is kept, and a later run uses the stand-ins in it: remove
# it where the environment's packages are others now. RAY_PYTHON is of an environment with '.[ray]', in the same minor
# version of Python; without it there is no Ray in the fleet.
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
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} # the containers, this host and Ray run the same source
packages=(docker.io containerd runc iptables libip4tc2 libip6tc2 libxtables12 libnftnl11 libmnl0 libnfnetlink0
    libnetfilter-conntrack3 tini debootstrap)
# shellcheck source=tests/deploy/needs.sh
. tests/deploy/needs.sh

# The stand-in of the base image gets the active environment's packages, and the Dockerfile installs ours beside them.
has_python() { python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; }
is_installed() { python -c 'import optselect.search.cli.app, mlflow, psycopg2, pip'; }
other_versions() { # of what optselect needs, beside constraints.txt
    python - <<'INSIDE'
from importlib import metadata
from packaging.requirements import Requirement
wanted = {one.name: one for line in open("constraints.txt") if (text := line.split("#")[0].strip()) for one in [Requirement(text)]}
def installed(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
needed, waiting = set(), ["optselect"]
while waiting:
    for text in metadata.requires(waiting.pop()) or []:
        one = Requirement(text)
        if (one.marker is None or one.marker.evaluate({"extra": ""})) and one.name not in needed:
            needed.add(one.name)
            waiting += [one.name] if installed(one.name) else []
lacks = [n for n in needed if installed(n) is None or (n in wanted and not wanted[n].specifier.contains(installed(n), prereleases=True))]
print(", ".join(sorted(f"{name} {installed(name) or 'none'}" for name in lacks)))
INSIDE
}
mounts_groups() { # as start_engine does
    unshare --net --mount sh -ec 'mount --make-rprivate /; mount -t sysfs sysfs /sys; mount -t tmpfs tmpfs /run
        if grep -q "^[1-9]" /proc/self/cgroup; then mount -t tmpfs cgroup /sys/fs/cgroup; else mount -t cgroup2 cgroup2 /sys/fs/cgroup; fi'
}
fetches_from_index() { python -m pip install -q --dry-run --target "$(mktemp -u)" 'setuptools>=77' wheel; }
makes_by_ray() { "$RAY_PYTHON" -c 'import ray, optselect, sys; sys.exit(sys.version_info[:2] != (3, 11))'; }

check_needs() {
    needs "root: run it by sudo" is_root
    needs "Debian 12, whose packages are its engine and its images" is_debian bookworm
    needs_tools "Debian's util-linux" unshare nsenter mount setpriv
    needs_tools "Debian's iproute2" ip
    needs_tools "Debian's procps" pgrep ps
    needs_tools "Debian's apt and dpkg" apt-get apt-cache dpkg
    needs_tools "it by python -m pip install '.[test]'" docker-compose
    needs "Python 3.11 as python, as in the images" has_python
    needs "optselect in the active environment: python -m pip install -c constraints.txt '.[test]'" is_installed
    other=$(other_versions 2>/dev/null) || true
    needs "the versions of constraints.txt in the active environment: python -m pip install -c constraints.txt '.[test]'${other:+; others are: $other}" [ -z "$other" ]
    needs "Python's index for setuptools and wheel: see what pip download wheel says" fetches_from_index
    local gigabytes=12
    [ ! -f "$scratch/root.made" ] || gigabytes=4
    needs "$gigabytes GB free for $scratch, in a folder that can be written: name another one as SCRATCH" has_gigabytes "$scratch" "$gigabytes"
    needs "namespaces with mounts and network of their own: not in a container without them" makes_namespaces true
    needs "sysfs, tmpfs and control groups to be mounted in a namespace: not in a container without CAP_SYS_ADMIN" mounts_groups
    [ -z "${RAY_PYTHON:-}" ] || needs "'.[ray]' in the environment of RAY_PYTHON, in Python 3.11" makes_by_ray
    if [ ! -x "$engine/usr/sbin/dockerd" ] || [ ! -f "$scratch/root.made" ]; then
        needs "Debian's lists of packages with docker.io and debootstrap: run apt-get update" knows_packages "${packages[@]}"
        needs "Debian's packages to be fetched, which are not in $scratch yet: see what apt-get download tini says" fetches_packages tini
    fi
    demand_needs
}
check_needs

mkdir -p "$scratch" "$engine"
step() { printf '\n== %s (after %d s)\n' "$1" "$SECONDS"; }

# --- the engine ------------------------------------------------------------------------------------------------------

unpack_engine() {
    [ ! -x "$engine/usr/sbin/dockerd" ] || return 0
    (cd "$scratch" && apt-get download -q "${packages[@]}" >apt.log 2>&1 && for file in *.deb; do dpkg -x "$file" "$engine"; done)
    ln -sf xtables-nft-multi "$engine/usr/sbin/iptables"
    ln -sf xtables-nft-multi "$engine/usr/sbin/ip6tables"
}

# In namespaces of its own: its bridges and rules are gone with it. What is published on 127.0.0.1 is reached through
# "${here[@]}" only.
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
        if docker info >/dev/null 2>&1; then
            here=(nsenter --target "$(cat "$scratch/dockerd.pid")" --net)
            return
        fi
        kill -0 $! 2>/dev/null || break
        sleep 1
    done
    echo "the engine does not answer; the end of its log:"
    tail -n 5 "$scratch/dockerd.log"
    exit 1
}

docker() { command "$engine/usr/bin/docker" "$@"; }
compose() { docker-compose --profile cpu "$@"; }

beside=() # what runs beside the engine
leave() {
    [ ${#beside[@]} = 0 ] || kill -9 "${beside[@]}" 2>/dev/null || true
    [ -S "$scratch/docker.sock" ] && compose down --volumes --timeout 20 >/dev/null 2>&1 || true
    [ -f "$scratch/dockerd.pid" ] && kill "$(cat "$scratch/dockerd.pid")" 2>/dev/null || true
    wait
    rm -rf "$scratch/exec" "${ray_folder:-}"
    rmdir /sys/fs/cgroup/docker /sys/fs/cgroup/*/docker 2>/dev/null || true
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
    ! docker image inspect "$tag" >/dev/null 2>&1 || return 0
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
        --change 'ENV LANG=C.UTF-8' --change 'ENTRYPOINT ["entry"]' - "$tag"
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

readonly TRIALS=71 EPOCHS=20 EPOCH_SECONDS=0.3 # and the user's own optimizer once
export OPTSELECT_STORAGE=postgresql://optselect@127.0.0.1:5432/optselect MLFLOW_TRACKING_URI=http://127.0.0.1:5000
export OPTSELECT_STORAGE_PASSWORD_FILE=$scratch/password DB_PASSWORD_FILE=$scratch/password OPTSELECT_HOME=$scratch/home
optselect() { "${here[@]}" python -m optselect "$@"; }
up() { compose up -d --no-build --wait --quiet-pull "$@" >"$scratch/up.log" 2>&1 || { tail -n 5 "$scratch/up.log"; compose logs --tail 30; exit 1; }; }

ask() { docker exec "$(compose ps -q postgres)" psql -U optselect -d optselect -qAt -F ' ' -c "$1"; }
holds() { [ "$(ask "SELECT $1" 2>/dev/null)" = t ]; }
ended() { holds "count(*) >= $1 FROM optselect.ticket WHERE state = 'done'"; }
await_that() { # SECONDS WHAT COMMAND...
    local begun=$SECONDS last=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ "$SECONDS" -lt "$last" ] || { echo "not in time: $what"; compose logs --tail 20; exit 1; }
        sleep 1
    done
    echo "$what: after $((SECONDS - begun)) s"
}

# Host and process id, as its container calls them, of a worker in mid-trial, and its ticket.
in_mid_trial() {
    ask "SELECT w.host, w.pid, t.id FROM optselect.ticket t JOIN optselect.worker w ON w.id = t.worker_id
          WHERE t.state = 'leased' AND t.attempt = 1 AND t.epochs BETWEEN 3 AND 10 LIMIT 1"
}
choose_victim() { victim=$(in_mid_trial 2>/dev/null) && [ -n "$victim" ]; }
goes_on() {
    await_that 400 "its trial was ended by another process" holds "state = 'done' AND attempt > 1 FROM optselect.ticket WHERE id = $1"
    ask "SELECT 'trial ' || trial_number || ', attempt ' || attempt || ': ' || outcome || ' after ' || epochs || ' epochs, begun again '
                || restarts || ' times' FROM optselect.ticket WHERE id = $1"
}
restarts() { docker inspect --format '{{.RestartCount}}' "$1"; }
restarted() { [ "$(restarts "$1")" -gt 0 ]; }
healthy() { [ "$(docker inspect --format '{{.State.Health.Status}}' "$(compose ps -q "$1")")" = healthy ]; }

# Ray's head is the whole cluster: a machine of its own but for the network.
start_ray() {
    ray_folder=$(mktemp -d /tmp/rayXXXX) # short: Ray makes sockets below it
    RAY_TMPDIR=$ray_folder RAY_USAGE_STATS_ENABLED=0 PATH=$(dirname "$RAY_PYTHON"):$PATH \
        "${here[@]}" unshare --pid --fork --kill-child --mount --mount-proc --uts bash -ec '
            mount --make-rprivate /
            mount -t tmpfs -o size=1g tmpfs /dev/shm
            hostname ray-machine
            exec ray start --head --block --node-ip-address=127.0.0.1 --dashboard-host=127.0.0.1 --num-cpus=2 --object-store-memory=100000000' \
        >"$scratch/ray.log" 2>&1 &
    beside+=($!)
    await_that 200 "Ray takes jobs" ray_answers
}
ray_answers() { "${here[@]}" python -c 'import urllib.request as r; print(r.urlopen("http://127.0.0.1:8265/api/jobs/").read().decode())' >"$scratch/ray.jobs" 2>/dev/null; }

trains_on() { holds "EXISTS (SELECT 1 FROM optselect.ticket t JOIN optselect.worker w ON w.id = t.worker_id WHERE w.host = '$1' AND t.epochs > 0)"; }
fleet() {
    ask "SELECT CASE host WHEN '$(hostname)' THEN 'this host' WHEN 'ray-machine' THEN 'Ray' ELSE 'container ' || host END, count(*)
           FROM optselect.ticket t JOIN optselect.worker w ON w.id = t.worker_id WHERE t.state = 'done' GROUP BY 1 ORDER BY 1"
}

demand_no_password() {
    for container in $(compose ps -aq); do docker inspect "$container"; done >"$scratch/seen.inspect"
    compose logs >"$scratch/seen.logs" 2>&1
    ps -eo args >"$scratch/seen.arguments"
    for process in $(pgrep -f 'optselect|mlflow|ray'); do tr '\0' '\n' <"/proc/$process/environ" || true; done >"$scratch/seen.environments" 2>/dev/null
    [ -z "${RAY_PYTHON:-}" ] || ray_answers || true
    for seen in inspect logs arguments environments; do [ -s "$scratch/seen.$seen" ]; done
    ! grep -rlF -f "$scratch/password" "$scratch"/seen.* "$scratch"/*.log "$scratch"/ray.jobs ${ray_folder:+"$ray_folder"} 2>/dev/null ||
        { echo "the password is in the files above"; exit 1; }
    echo "no password: docker inspect of $(compose ps -aq | wc -l) containers, $(wc -l <"$scratch/seen.arguments") command lines, the environments of our processes, the logs"
}

step "a real engine in namespaces"
unpack_engine
start_engine
docker version --format 'engine {{.Server.Version}}, {{.Server.Os}}/{{.Server.Arch}}'
compose down --volumes >/dev/null 2>&1 # of a broken run

step "stand-ins for the base images"
make_root
stand_in_python
stand_in_postgres

step "docker build of our own Dockerfile"
build

step "docker compose --profile cpu up --wait: eight workers at once, from empty volumes"
(umask 077 && python -c 'import secrets; print(secrets.token_urlsafe(24))' >"$scratch/password")
chmod 644 "$scratch/password"
WORKERS=8 up
compose ps -a --format 'table {{.Service}}\t{{.State}}\t{{.Status}}'
for container in $(compose ps -aq); do
    [ "$(docker inspect --format '{{.RestartCount}} {{.State.ExitCode}}' "$container")" = "0 0" ] || { echo "$container was started again"; exit 1; }
done
echo "none was started twice"
up --scale worker=2 worker

step "a study from the host, trained by the containers"
mkdir -p "$scratch/problem"
sed "s/\"EPOCH_SECONDS\", \"0\"/\"EPOCH_SECONDS\", \"$EPOCH_SECONDS\"/" tests/support/steady.py >"$scratch/problem/fleet.py"
optselect launch "$scratch/problem/fleet.py" --name fleet --optimizers sgd,adam,rmsprop --trials "$TRIALS" --epochs "$EPOCHS" \
    --seeds 0 --goal best-config --workers 0
await_that 600 "two trials have ended" ended 2

step "kill -9 of a training process, in its container"
await_that 200 "a trial is in its middle" choose_victim
read -r host process ticket <<<"$victim"
docker exec "$host" sh -c "kill -9 $process"
goes_on "$ticket"
[ "$(restarts "$host")" = 0 ] || { echo "the container was started again"; exit 1; }
echo "its supervisor has replaced it, the container lives"

step "kill -9 of a container's first process: Docker starts it again"
await_that 200 "a trial is in its middle" choose_victim
read -r host process ticket <<<"$victim"
kill -9 "$(docker inspect --format '{{.State.Pid}}' "$host")"
await_that 30 "the container is started again" restarted "$host"
goes_on "$ticket"

step "docker restart of Postgres in mid-study"
await_that 200 "a trial is in its middle" choose_victim
before=$(ask "SELECT count(*) FROM optselect.ticket WHERE state = 'done'")
docker restart "$(compose ps -q postgres)" >/dev/null
await_that 60 "Postgres is healthy again" healthy postgres
await_that 400 "four more trials have ended" ended $((before + 4))
for container in $(compose ps -q worker); do echo "worker ${container:0:12} was started again $(restarts "$container") times in all"; done

step "docker compose stop"
await_that 200 "a trial is in its middle" choose_victim
compose stop >/dev/null 2>&1
compose ps -a --format 'table {{.Service}}\t{{.State}}\t{{.Status}}'
stopped=$(docker inspect --format '{{.State.FinishedAt}}' "$(compose ps -aq postgres)")
compose start postgres >/dev/null 2>&1
await_that 120 "Postgres alone is back" healthy postgres
# Given back is a ticket whose lease ends with the giving; a lease that was merely left would last a minute longer.
ask "SELECT 'trial ' || trial_number || ' waits at epoch ' || epochs || ', its checkpoint is of epoch ' ||
            coalesce((SELECT max(epoch)::text FROM optselect.checkpoint c WHERE c.ticket_id = t.id), 'none')
       FROM optselect.ticket t WHERE state = 'leased' AND lease_until < '$stopped'"
holds "count(*) = 0 FROM optselect.ticket WHERE state = 'leased' AND lease_until >= '$stopped'" || { echo "a ticket is still leased"; exit 1; }
echo "no ticket is leased by anybody"
before=$(ask "SELECT count(*), sum(epochs) FROM optselect.ticket WHERE state = 'done'")

step "docker compose down, and up"
compose down >/dev/null 2>&1
compose up -d --no-build --wait postgres >/dev/null 2>&1
after=$(ask "SELECT count(*), sum(epochs) FROM optselect.ticket WHERE state = 'done'")
[ "$before" = "$after" ] || { echo "ended trials and epochs were $before, are $after"; exit 1; }
echo "still there, ended trials and their epochs: $after"
WORKERS=2 up

step "a mixed fleet: a third replica, a worker of this host, and one of Ray"
up --no-recreate --scale worker=3 worker
if [ -n "${RAY_PYTHON:-}" ]; then
    start_ray
    "${here[@]}" "$RAY_PYTHON" -m optselect resume fleet --executor ray --workers 1 --executor-option address=http://127.0.0.1:8265 \
        --executor-option "password-file=$scratch/password" --executor-option "home=$scratch/ray-home" --executor-option "python=$RAY_PYTHON"
else
    echo "RAY_PYTHON is not set: no Ray in this fleet"
fi
"${here[@]}" python -m optselect worker fleet --slots 1 >"$scratch/worker.log" 2>&1 &
host_worker=$!
beside+=("$host_worker")
await_that 300 "this host trains" trains_on "$(hostname)"
[ -z "${RAY_PYTHON:-}" ] || await_that 300 "Ray trains" trains_on ray-machine
demand_no_password
await_that 900 "all trials have ended" ended $((TRIALS + 1))
wait "$host_worker"
tail -n 1 "$scratch/worker.log"

step "what came of it"
fleet
optselect status fleet
optselect sync fleet
optselect sync fleet --check
ask "SELECT 'by outcome: ' || string_agg(n || ' ' || outcome, ', ') FROM (SELECT outcome, count(*) n FROM optselect.ticket GROUP BY outcome) o"
holds "count(*) = $TRIALS + 1 AND bool_and(state = 'done' AND outcome <> 'failed') FROM optselect.ticket" ||
    { echo "the budget is not exact"; exit 1; }
holds "count(*) = $TRIALS + 1 AND count(DISTINCT number) = count(*) FROM optuna.trials" || { echo "Optuna's trials are others"; exit 1; }
holds "bool_and(epochs = $EPOCHS AND seen = epochs) FROM (
           SELECT t.epochs, (SELECT count(*) FROM optselect.epoch_log e WHERE e.ticket_id = t.id AND e.epoch <= t.epochs) AS seen
             FROM optselect.ticket t WHERE outcome = 'complete') c" || { echo "a complete trial has not each epoch once"; exit 1; }
echo "exactly $((TRIALS + 1)) trials, in Optuna's tables too; each complete one has its $EPOCHS epochs once"
"${here[@]}" python - <<'INSIDE'
import urllib.request, urllib.error
ask = urllib.request.Request("http://127.0.0.1:5000/api/2.0/mlflow/experiments/search", headers={"Host": "foreign.example"})
try:
    urllib.request.urlopen(ask)
    raise SystemExit("MLflow answers to a foreign name")
except urllib.error.HTTPError as error:
    print("MLflow refuses a foreign host name:", error.code)
INSIDE
demand_no_password

step "done"
