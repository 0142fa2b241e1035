#!/usr/bin/env bash
# One training for each line of a list of configurations, or for each of several seeds, which needs no MPI:
#   sbatch --array=1-10 examples/slurm/array.sh systems.txt runs     line i trains runs/i
#   sbatch --array=1-10 examples/slurm/array.sh config.json runs     seed i trains runs/i
#SBATCH --job-name=trade
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --time=04:00:00
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -uo pipefail

what=${1:?a configuration, or a list of them}
runs=${2:?the folder of the runs}
task=${SLURM_ARRAY_TASK_ID:?start this with sbatch --array=1-10}
trade=${TRADE:-trade}
export RAYON_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"

case $what in
    *.json) arguments=(train "$what" --seed "$task") ;;
    *) arguments=(train "$(sed -n "${task}p" "$what")") ;;
esac

code=0
srun "$trade" "${arguments[@]}" --out "$runs/$task" --resume || code=$?
case $code in
    138 | 143) scontrol requeue "${SLURM_ARRAY_JOB_ID}_$task" ;;
    *) exit "$code" ;;
esac
