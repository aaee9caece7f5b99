#!/usr/bin/env bash
# Makes a real SLURM of two nodes and treats it badly while it trains our studies: kills, a time limit, preemption, a node
# without power, scancel, stop. Ends with 0 where no trial is lost or counted twice.
#
#   sudo tests/deploy/slurm_for_real.sh [SCRATCH]      # needs root, Debian 12, 4 GB and eight minutes; keeps SCRATCH
#
# It begins by saying in one line each what it needs and this machine lacks, and ends with 2 then.
#
# SLURM is Debian's, laid over /usr in namespaces that end with this script, whatever ends it: of this machine nothing is
# changed but SCRATCH. A node is a network namespace with processes, /run, /dev/shm and a host name of its own; its GPUs
# are /dev/null under other names. The nodes share the file system, as on clusters, and PostgreSQL is the embedded one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec </dev/null
scratch=$(realpath -m "${1:-/tmp/optselect-slurm}")
packages=(slurmctld slurmd slurm-client munge iproute2)
# shellcheck source=tests/deploy/needs.sh
. tests/deploy/needs.sh

lays_over() { # as make_hub does, over a folder of no importance
    makes_namespaces sh -ec 'mount --make-rprivate /; mount -t tmpfs tmpfs /mnt; mkdir /mnt/over
        mount -t overlay overlay -o lowerdir=/mnt/over:/usr /usr; mount -t tmpfs tmpfs /run'
}
is_installed() { python -c 'import optselect.search.cli.app, optselect.storage.server.embedded, psycopg2'; }
has_postgres() { python -c "import os; from optselect.storage.server.binaries import find_binaries; find_binaries(os.environ)"; }

check_needs() {
    needs "root: run it by sudo" is_root
    needs "Debian 12, whose SLURM it lays over /usr" is_debian bookworm
    needs_tools "Debian's util-linux" unshare mount setpriv
    needs_tools "Debian's procps" pgrep
    needs_tools "Debian's apt and dpkg" apt-get apt-cache dpkg
    needs "optselect in the active environment: python -m pip install ." is_installed
    needs "the programs of the embedded PostgreSQL: see what python -m optselect db status says" has_postgres
    needs "4 GB free for $scratch, in a folder that can be written: name another one as SCRATCH" has_gigabytes "$scratch" 4
    needs "each folder above $scratch to let every account in: PostgreSQL has one of its own" lets_others_in "$scratch"
    needs "namespaces with mounts, network, processes and host name of their own: not in a container without them" makes_namespaces true
    needs "overlay and tmpfs to be mounted in a namespace: not in a container without CAP_SYS_ADMIN" lays_over
    if [ ! -x "$scratch/slurm/usr/sbin/slurmd" ]; then
        needs "Debian's lists of packages with ${packages[*]}: run apt-get update" knows_packages "${packages[@]}"
        needs "Debian's packages to be fetched, which are not in $scratch yet: see what apt-get download munge says" fetches_packages munge
    fi
    demand_needs
}

# Here and not within the namespaces, which have no network.
unpack_slurm() {
    [ ! -x "$scratch/slurm/usr/sbin/slurmd" ] || return 0
    mkdir -p "$scratch/packages/partial"
    apt-get install -y -q --no-install-recommends --download-only --reinstall -o Dir::Cache::archives="$scratch/packages" \
        "${packages[@]}" >"$scratch/apt.log" 2>&1 || { tail -n 5 "$scratch/apt.log"; exit 2; }
    rm -rf "$scratch/slurm" # what a broken try has left
    for file in "$scratch"/packages/*.deb; do dpkg -x "$file" "$scratch/slurm.part"; done
    # As Debian's alternatives would name them.
    for name in slurmstepd slurmctld slurmd; do ln -sf "$name-wlm" "$scratch/slurm.part/usr/sbin/$name"; done
    mv "$scratch/slurm.part" "$scratch/slurm"
}

if [ -z "${SLURM_FOR_REAL:-}" ]; then # process 1 of the namespaces: with it everything ends
    check_needs
    unpack_slurm
    SLURM_FOR_REAL=1 exec unshare --mount --net --uts --ipc --pid --fork --kill-child --mount-proc \
        bash tests/deploy/slurm_for_real.sh "$@"
fi

run=$scratch/run
net=198.18.220 # kept for tests of networks: no real host has an address there
declare -A power=()
# shellcheck disable=SC2086  # two lists of names
unset SLURM_FOR_REAL ${!OPTSELECT_@} ${!MLFLOW_@}
step() { printf '\n== %s (after %d s)\n' "$1" "$SECONDS"; }
fail() {
    printf 'FAILED after %d s: %s\n' "$SECONDS" "$*"
    queue 2>/dev/null || true
    tail -n 5 "$run"/logs/*.log 2>/dev/null || true
    exit 1
}
await() { # SECONDS WHAT COMMAND...
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || fail "not in time: $what"
        sleep 0.5
    done
    printf '%4d s  %s\n' "$SECONDS" "$what"
}

# --- a cluster -------------------------------------------------------------------------------------------------------

# The controller, PostgreSQL and the person who types are on a machine of their own.
make_hub() {
    mount --make-rprivate /
    mount -t overlay overlay -o "lowerdir=$scratch/slurm/usr:/usr" /usr
    mount -t tmpfs tmpfs /run
    printf '%s\n' '127.0.0.1 localhost' "$net.1 hub" "$net.11 w1" "$net.12 w2" >"$run/hosts"
    mount --bind "$run/hosts" /etc/hosts
    hostname hub
    ip link set lo up
    ip link add switch type bridge
    ip addr add "$net.1/24" dev switch
    ip link set switch up
}

configure_slurm() {
    dd if=/dev/urandom of="$run/munge.key" bs=128 count=1 status=none
    chmod 600 "$run/munge.key"
    mknod -m 666 "$run/gpu0" c 1 3
    mknod -m 666 "$run/gpu1" c 1 3
    echo "NodeName=w[1-2] Name=gpu File=$run/gpu[0-1]" >"$run/gres.conf"
    echo CgroupPlugin=cgroup/v1 >"$run/cgroup.conf" # or slurmd looks which there are; none is used
    export SLURM_CONF=$run/slurm.conf
    cat >"$SLURM_CONF" <<INSIDE
ClusterName=real
SlurmctldHost=hub($net.1)
SlurmUser=root
AuthType=auth/munge
StateSaveLocation=$run/state
SlurmdSpoolDir=$run/spool-%n
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=$run/slurmctld.log
SlurmdLogFile=$run/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
SlurmdTimeout=10
ReturnToService=2
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=w1 NodeAddr=$net.11 CPUs=2 Gres=gpu:2
NodeName=w2 NodeAddr=$net.12 CPUs=2 Gres=gpu:2
PartitionName=work Nodes=w[1-2] Default=YES PriorityTier=1
PartitionName=urgent Nodes=w[1-2] PriorityTier=10 PreemptMode=OFF
INSIDE
    cat >"$run/munge" <<INSIDE
mkdir -p -m 755 /run/munge
exec munged --key-file $run/munge.key --log-file $run/munged-\$(hostname).log --seed-file /run/munge/seed --pid-file /run/munge/pid
INSIDE
    cat >"$run/node" <<INSIDE
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /dev/shm
hostname \$1
bash $run/munge
slurmd -D & # bash stays process 1 and collects what is orphaned
wait
INSIDE
}

start_controller() {
    bash "$run/munge"
    slurmctld -D >"$run/slurmctld.out" 2>&1 &
    await 30 "the controller answers" is_up
}

power_on() { # NODE
    ip netns add "$1"
    ip link add "$1" type veth peer name eth0 netns "$1"
    ip link set "$1" master switch up
    ip -n "$1" addr add "$net.1${1#w}/24" dev eth0
    ip -n "$1" link set eth0 up
    ip -n "$1" link set lo up
    ip netns exec "$1" unshare --mount --uts --pid --fork --kill-child --mount-proc \
        bash -e "$run/node" "$1" >"$run/$1.out" 2>&1 &
    power[$1]=$!
    await 60 "$1 is idle" state_is "$1" idle
}

# All its processes are gone at once, and none announces its end.
power_off() { # NODE
    ip link set "$1" down
    kill -KILL "${power[$1]}"
    wait "${power[$1]}" 2>/dev/null || true
    ip link del "$1"
    ip netns del "$1"
}

is_up() { scontrol ping >/dev/null; }
state_is() { [ "$(sinfo -h -n "$1" -o %T)" = "$2" ]; } # NODE STATE
queue() { squeue --array --format '%.8i %.9P %.16j %.10T %.10M %.8N %r'; }
tasks() { squeue -h --array -n "optselect-$study" "$@"; }
waiting() { [ "$(tasks -t PD | wc -l)" = "$1" ]; } # TASKS
running() { [ "$(tasks -t R | wc -l)" = "$1" ]; }  # TASKS
requeued() { scontrol show job "$1" | grep -q 'Restarts=[1-9]'; } # TASK
none_left() { [ -z "$(tasks)" ]; }

# --- a study, and what PostgreSQL says of it ----------------------------------------------------------------------------

start_postgres() {
    local server=$run/server
    setpriv --reuid nobody --clear-groups test -x "$run" || fail "each folder above $run must let every account in"
    OPTSELECT_HOME=$server OPTSELECT_PG_FSYNC=off python -c '
import os, pathlib
from optselect.storage.server import embedded
embedded.ensure_running(pathlib.Path(os.environ["OPTSELECT_HOME"]), os.environ)'
    echo "listen_addresses = '*'" >>"$server/pg/data/postgresql.conf"
    echo "host all all $net.0/24 scram-sha-256" >>"$server/pg/data/pg_hba.conf"
    OPTSELECT_HOME=$server python -m optselect db stop >/dev/null
    OPTSELECT_HOME=$server python -m optselect db upgrade >/dev/null
    install -m 600 "$server/pg/password" "$run/password"
    export OPTSELECT_HOME=$run/home OPTSELECT_STORAGE_PASSWORD_FILE=$run/password
    OPTSELECT_STORAGE=postgresql://postgres@$net.1:$(sed -n 4p "$server/pg/data/postmaster.pid")/optselect
    export OPTSELECT_STORAGE
}

optselect() { python -m optselect "$@"; }

ask() { # SQL: its rows, with blanks between
    python -c '
import os, sys, psycopg2
with open(os.environ["OPTSELECT_STORAGE_PASSWORD_FILE"]) as file:
    connection = psycopg2.connect(os.environ["OPTSELECT_STORAGE"], password=file.read().strip())
cursor = connection.cursor()
cursor.execute("SET search_path = optselect")
cursor.execute(sys.argv[1])
for row in cursor:
    print(*row)' "$1"
}

store_study() { # NAME TRIALS
    mkdir -p "$run/work"
    cp tests/support/steady.py "$run/work"
    cat >"$run/work/$1.toml" <<INSIDE
problem = "steady.py"
name = "$1"
optimizers = ["sgd"]
trials = $2
epochs = 20
seeds = 0
goal = "best-config"

[space.SGD]
learning_rate = {low = 1e-3, high = 1e-2, log = true} # none diverges
momentum = 0.0
nesterov = false
INSIDE
}

hand_in() { # COMMAND OPTION...: of optselect, with SLURM's part of it
    (cd "$run/work" && optselect "$@" --executor slurm --executor-option logs="$run/logs" | sed -n 1p)
}

rows="ticket t JOIN study s ON s.id = t.study_id LEFT JOIN worker w ON w.id = t.worker_id WHERE s.name ="
lives="(t.state = 'leased' AND t.lease_until > clock_timestamp())" # given back: its lease is over
count() { [ "$(ask "SELECT count(*) FROM $rows '$study' AND $1")" = "$2" ]; } # CONDITION NUMBER
leased() { count "$lives" "$1"; }                                             # NUMBER
training() { count "$lives AND t.epochs > 0" "$1"; }                          # NUMBER
attempts_lost() { # NUMBER: those that did not end in good order
    [ "$(ask "SELECT sum(attempt - (t.state = 'done' OR $lives)::int) FROM $rows '$study'")" = "$1" ]
}
all_done() { count "t.state <> 'done'" 0; }
held_by() { # NODE: ticket, trial, attempt, epoch and worker of a trial in its middle
    ask "SELECT t.id, trial_number, attempt, epochs, worker_id FROM $rows '$study' AND $lives AND host = '$1' AND epochs BETWEEN 2 AND 15"
}
trains() { [ -n "$(held_by "$1")" ]; } # NODE
holds() { read -r -a held <<<"$(held_by "$1")" && [ ${#held[@]} = 5 ]; } # NODE: and remembers it as held
both_train() { trains w1 && trains w2; }
is_so() { [ -n "$(ask "SELECT 1 FROM ticket t WHERE id = $1 AND trial_number = $2 AND restarts = 0 AND ($3)")" ]; } # TICKET TRIAL CONDITION
# Each of these is given what held_by has said.
given_back() { # with a checkpoint of all that was told; perhaps taken by another one already
    is_so "$1" "$2" "(worker_id <> '$5' OR NOT $lives)
        AND (state = 'done' OR EXISTS (SELECT 1 FROM checkpoint c WHERE c.ticket_id = t.id AND c.epoch >= $4))"
}
taken_anew() { is_so "$1" "$2" "attempt > $3 AND worker_id <> '$5'"; } # an attempt was lost
goes_on() { is_so "$1" "$2" "worker_id <> '$5' AND (state = 'done' OR $lives AND epochs > $4)"; }

processes() { # NODE WORDS: the living ones there whose command line holds the words
    local pid
    for pid in $(pgrep -f -- "$2"); do
        ! grep -qsz "^SLURMD_NODENAME=$1\$" "/proc/$pid/environ" || echo "$pid"
    done
}
variable() { tr '\0' '\n' <"/proc/$1/environ" | sed -n "s/^$2=//p"; } # PID NAME

leave() {
    [ -z "${OPTSELECT_STORAGE:-}" ] || OPTSELECT_HOME=$run/server python -m optselect db stop >/dev/null || true
    (cd "$run" && rm -rf server home state spool-* gpu? munge.key password)
}
trap leave EXIT
trap 'exit 130' INT TERM

step "SLURM of two nodes, and PostgreSQL"
rm -rf "$run"
mkdir -p "$run/state" "$run/spool-w1" "$run/spool-w2" "$run/logs"
chmod 755 "$scratch" "$run" # PostgreSQL's own account must get in
make_hub
configure_slurm
start_controller
power_on w1
power_on w2
slurmctld -V
start_postgres

export OPTSELECT_LEASE_SECONDS=20 # so late a lost node is noticed; usually after a minute
export EPOCH_SECONDS=1.5 HURRY_FILE=$run/hurry

step "a study on both nodes, by two workers without a GPU"
study=fleet
store_study fleet 23 # and one trial more: the user's own optimizer
hand_in launch --spec fleet.toml --workers 2 --executor-option cpus-per-task=2 --executor-option time=60
await 120 "both nodes are in mid-trial" both_train
queue
worker=$(processes w1 'optselect worker fleet --slots 1' | head -n 1)
[ "$(variable "$worker" CUDA_VISIBLE_DEVICES)" = "" ] || fail "a worker without a GPU sees one"
optselect status fleet

step "kill -9 of a worker with all its processes, on w1"
await 120 "w1 is in mid-trial" holds w1
processes w1 '-m optselect' | xargs kill -KILL
await 90 "trial ${held[1]} lost an attempt, and is taken anew" taken_anew "${held[@]}"
await 90 "it goes on under its number, beyond epoch ${held[3]}" goes_on "${held[@]}"
optselect logs fleet --lines 1000 | grep -F 'ended with 137; starting it again' || fail "the task did not start its worker again"

step "the time limit: an administrator shortens it, so that the warning is due"
await 120 "both nodes are in mid-trial" both_train
for task in $(tasks -t R -o %i); do
    scontrol update "JobId=$task" "TimeLimit=$((($(tasks -j "$task" -o %M | awk -F: '{ print $1 * 60 + $2 }') + 150) / 60))"
done
await 100 "both tasks are in the queue again" waiting 2
queue
leased 0 || fail "a ticket is still leased"
attempts_lost 1 || fail "a trial has lost an attempt by it"
returned="t.state = 'leased' AND NOT $lives"
# Both, but for a trial that ended in that very moment.
one_is_free() { [ -n "$(ask "SELECT 1 FROM $rows '$study' AND $returned LIMIT 1")" ]; }
await 60 "at least one trial is free again" one_is_free
count "$returned AND NOT EXISTS (SELECT 1 FROM checkpoint c WHERE c.ticket_id = t.id AND c.epoch = t.epochs)" 0 || fail "a trial was given back without a checkpoint of its last epoch"
ask "SELECT t.id, trial_number, attempt, epochs, worker_id FROM $rows '$study' AND $returned" >"$run/returned"
while read -r -a held; do echo "trial ${held[1]} was given back with a checkpoint of epoch ${held[3]}"; done <"$run/returned"
cat "$run"/logs/1-*.log | grep -F 'told to leave (time-limit); it ended with 75' || fail "no worker ended with 75"

step "a second launch beside the first one, which waits"
hand_in resume fleet --workers 2 --executor-option cpus-per-task=2
while read -r -a held <&3; do await 120 "trial ${held[1]} goes on under its number" goes_on "${held[@]}"; done 3<"$run/returned"

step "preemption: a job of a partition with a higher priority wants w1"
await 120 "both nodes are in mid-trial" both_train
await 120 "w1 is in mid-trial" holds w1
task=$(tasks -t R -w w1 -o %i)
urgent=$(cd "$run" && sbatch --parsable --partition urgent --nodelist w1 --exclusive --output "$run/urgent.out" --wrap 'sleep 15')
runs_urgent() { [ "$(squeue -h -j "$urgent" -o %T)" = RUNNING ]; }
await 60 "it has w1" runs_urgent
queue
tasks -t PD -o %i | grep -qx "$task" || fail "task $task is not in the queue"
given_back "${held[@]}" || fail "trial ${held[1]} was not given back"
attempts_lost 1 || fail "it has lost an attempt"
echo "trial ${held[1]} was given back in good order"

step "the tasks of the first launch come back by themselves"
await 240 "one of them trains on w1" trains w1
tasks -t R -w w1 -o %i | grep -q "^1_" || fail "it is none of them"
await 120 "both nodes are in mid-trial" both_train

step "w2 loses its power"
await 120 "w2 is in mid-trial" holds w2
task=$(tasks -t R -w w2 -o %i)
power_off w2
lost=$SECONDS
await 60 "trial ${held[1]} is free: the lease is over" count "t.id = ${held[0]} AND NOT (t.worker_id = '${held[4]}' AND $lives)" 1
await 120 "SLURM calls w2 down" state_is w2 'down*'
echo "       that was $((SECONDS - lost)) s after its end"
await 120 "SLURM has put its task $task into the queue again" requeued "$task"
queue
await 180 "trial ${held[1]} is taken anew by w1" taken_anew "${held[@]}"
await 60 "it goes on under its number, beyond epoch ${held[3]}" goes_on "${held[@]}"
touch "$HURRY_FILE"
attempts_lost 2 || fail "not just one attempt was lost with w2"
await 300 "w1 alone has finished the study" all_done
count "t.id = ${held[0]} AND w.host = 'w1'" 1 || fail "the trial of w2 was finished elsewhere"
power_on w2

step "what came of it"
optselect status fleet
optselect status fleet --json | python -c '
import json, sys
trials = json.load(sys.stdin)["trials"]
assert trials["complete"] == 23 == sum(trials.values()), trials
print("exactly 23 trials beside the baseline, all complete:", trials)'
ask "SELECT count(*), count(DISTINCT trial_number), min(trial_number), max(trial_number), sum(restarts) FROM $rows 'fleet'" | tee "$run/counts"
[ "$(cat "$run/counts")" = "24 24 0 23 0" ] || fail "not each trial has one number, or one began again at its first epoch"
ask "SELECT count(*), count(DISTINCT (ticket_id, epoch)) FROM epoch_log" | tee "$run/epochs"
[ "$(cat "$run/epochs")" = "480 480" ] || fail "not each epoch is there once"

step "three workers with a GPU each, of nodes that have two"
study=gpus HURRY_FILE=
store_study gpus 12
hand_in launch --spec gpus.toml --workers 3 --gpus-per-worker 1
await 180 "three train" training 3
queue
for node in w1 w2; do
    for pid in $(processes "$node" 'optselect.* gpus'); do
        task=$(variable "$pid" SLURM_ARRAY_JOB_ID)_$(variable "$pid" SLURM_ARRAY_TASK_ID)
        echo "$node $task gpu $(variable "$pid" CUDA_VISIBLE_DEVICES)"
    done
done | sort -u | tee "$run/seen"
for task in $(tasks -t R -o %i); do
    scontrol --details show job "$task" | sed -n "s/.*Nodes=\(w[12]\) .*GRES=gpu.*(IDX:\([0-9,-]*\)).*/\1 $task gpu \2/p"
done | sort -u >"$run/given"
diff "$run/given" "$run/seen" || fail "< is what SLURM has given, > what the workers see"
[ "$(cut -d' ' -f1,4 "$run/seen" | sort -u | wc -l)" = 3 ] || fail "two workers have one GPU"

step "scale: two, then four"
optselect scale gpus 2
await 60 "two are left" running 2
await 30 "and two trials are in hand" leased 2
optselect scale gpus 4
await 180 "four train" training 4
queue

step "scancel of the first array by hand"
array=$(optselect status gpus --json | python -c 'import json, sys; print(json.load(sys.stdin)["launches"][0]["external_id"].split()[0])')
doomed=$(tasks -j "$array" | wc -l)
scancel "$array"
array_is_gone() { [ -z "$(squeue -h --array -j "$array" 2>/dev/null)" ]; }
await 60 "its $doomed tasks are gone" array_is_gone
leased $((4 - doomed)) || fail "a ticket is still leased"
attempts_lost 0 || fail "an attempt was lost"

step "stop"
optselect stop gpus
await 60 "no task is left" none_left
leased 0 || fail "a ticket is still leased"
attempts_lost 0 || fail "an attempt was lost"
optselect status gpus

step "the tasks of the finished study find nothing to do"
study=fleet
await 300 "none is left" none_left
queue
if grep -E 'WEXITSTATUS' "$run/slurmctld.log" | grep -vE 'WEXITSTATUS (0|75)$'; then fail "a task ended otherwise"; fi

step "done"
