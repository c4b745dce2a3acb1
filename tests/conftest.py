"""Every test process computes with one thread: they share the cores, and sums do not depend on them."""

import os

import torch

os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)
