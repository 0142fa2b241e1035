#!/usr/bin/env bash
# One training on many ranks:  sbatch examples/slurm/mpi.sh config.json runs/name
# The program must have been built with `--features mpi` and the MPI that srun starts.
#SBATCH --job-name=trade
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --cpus-per-task=1
#SBATCH --time=04:00:00
# Two minutes before the end every rank is told, and the training writes a checkpoint.
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -uo pipefail

config=${1:?a configuration}
run=${2:?the folder of the run}
trade=${TRADE:-trade}

# One thread a rank, or as many as it was given.
export RAYON_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"

code=0
srun --mpi="${TRADE_MPI:-pmix}" "$trade" train "$config" --out "$run" --resume || code=$?
case $code in
    # Told to stop (128 and the number of SIGUSR1 or SIGTERM): the checkpoint is there, go on later.
    138 | 143) scontrol requeue "$SLURM_JOB_ID" ;;
    *) exit "$code" ;;
esac
