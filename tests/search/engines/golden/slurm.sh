#!/bin/bash
#SBATCH --job-name=optselect-digits
#SBATCH --array=0-7
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@90
#SBATCH --output=/shared/ann/optselect/launches/digits/slurm/%A-%a.log
#SBATCH --gres=gpu:1
#SBATCH --partition=gpu
#SBATCH --time=12:00:00
# Workers of an optselect study. The study is in PostgreSQL: any task may die at any time.

export OPTSELECT_STORAGE=postgresql://ann@db.example.org/studies
export OPTSELECT_EXECUTOR=slurm
export OPTSELECT_HOME=/shared/ann/optselect
export PGPASSFILE=/shared/ann/optselect/launches/digits/pgpass
module load cuda

leaving= child= crashes=0
leave() {
    leaving=$1
    [ -z "$child" ] || kill -TERM "$child" 2>/dev/null
}
trap 'leave told' TERM       # scancel, preemption
trap 'leave time-limit' USR1 # 90 seconds before the time limit; only this shell hears it

# A trap cuts a wait short: wait until the child is really gone.
await() {
    [ -z "$leaving" ] || kill -TERM "$child" 2>/dev/null # it was told before there was a child
    wait "$child"
    while kill -0 "$child" 2>/dev/null; do wait "$child"; done
    wait "$child"
    code=$?
    child=
}

while [ -z "$leaving" ]; do
    started=$SECONDS
    /opt/optselect/bin/python -P -m optselect worker digits --slots 1 &
    child=$!
    await
    [ -z "$leaving" ] || { echo "the worker was told to leave ($leaving); it ended with $code" >&2; break; }
    case $code in
        0 | 64 | 130) exit "$code" ;; # nothing is left to do, or it would end the same way
        75) ;;                        # start me again
        *) crashes=$((SECONDS - started < 60 ? crashes + 1 : 1)) ;;
    esac
    [ "$crashes" -lt 5 ] || exit "$code"
    echo "the worker ended with $code; starting it again" >&2
    sleep $((${OPTSELECT_PAUSE_SECONDS:-2} * 2 ** crashes)) &
    child=$!
    await
done
# SLURM starts a task again after a lost node and after preemption; not after its time limit.
[ "$leaving" != time-limit ] || scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
exit 75
