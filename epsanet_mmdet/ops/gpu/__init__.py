"""Triton kernels for GPUs, which compute EPSANet in channels-last memory and in few passes."""
