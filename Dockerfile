# Runs both of the README's commands:
#   docker build -t epsanet_mmdet .
#   docker run --rm --shm-size 1g epsanet_mmdet make demo    (or make test)
# With an NVIDIA GPU: docs/gpu.md.
ARG BASE=python:3.12-slim-trixie
FROM ${BASE}

RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ git make \
    && (command -v python3 || apt-get install -y --no-install-recommends python3-dev python3-venv) \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home user

COPY --chown=user . /home/user/epsanet_mmdet
WORKDIR /home/user/epsanet_mmdet
USER user
ENV PIP_NO_CACHE_DIR=1
# A build sees no GPU, so mmcv is compiled for the GPUs of these compute capabilities.
ARG TORCH_CUDA_ARCH_LIST="8.0 8.6 8.9 9.0+PTX"
# PyPI's torch is the CUDA build; the one for CPUs is several GB smaller.
RUN if command -v nvcc; then export FORCE_CUDA=1; \
    else export PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu; fi; \
    make setup
ENV PATH=/home/user/epsanet_mmdet/.venv/bin:$PATH
CMD ["make", "demo"]
