#!/bin/bash
# A training under SLURM that goes on by itself after its time limit:
#   sbatch --job-name photos configs/slurm/train.sh --config configs/train/photos.yaml --data_root ~/photos
# Five minutes before the limit SLURM sends SIGUSR1: the step at hand ends, last.ckpt is written, the job is queued again
# and resumes. The folder is runs/JOB-NAME.
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --signal=USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append

last=$(ls -t runs/"$SLURM_JOB_NAME"{,-[0-9]*}/last.ckpt 2>/dev/null | head -n 1)
if [ -n "$last" ]; then begin=(--resume "$last"); else begin=(--name "$SLURM_JOB_NAME"); fi
srun python train.py "$@" "${begin[@]}" --trainer.num_nodes "$SLURM_NNODES" --trainer.devices "$SLURM_NTASKS_PER_NODE"
code=$?
if [ $code -eq 138 ] || [ $code -eq 143 ]; then  # 128 and SIGUSR1 or SIGTERM
  scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
