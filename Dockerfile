# Runs both of the README's commands:
#   docker build -t epsanet_mmdet . && docker run --rm epsanet_mmdet make demo    (or make test)
# For a GPU, with NVIDIA's container toolkit:
#   docker build -t epsanet_mmdet --build-arg BASE=nvidia/cuda:13.0.1-devel-ubuntu24.04 .
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}

RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ git make \
    && (command -v python3 || apt-get install -y --no-install-recommends python3-dev python3-pip python3-venv) \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home user

COPY --chown=user . /home/user/epsanet_mmdet
WORKDIR /home/user/epsanet_mmdet
USER user
# mmcv is compiled here; TORCH_CUDA_ARCH_LIST says for which GPUs, as a build sees none.
RUN if command -v nvcc; then export FORCE_CUDA=1; fi; make setup
ENV PATH=/home/user/epsanet_mmdet/.venv/bin:$PATH
CMD ["make", "demo"]
