# hft in a container: target `cuda` for GPU servers, `cpu` for laptops and CI. `make build` builds the one that fits this machine.
# Any Debian-like base with Python 3.11 will do; append @sha256:... to hold it to the byte.
ARG BASE_IMAGE=debian:bookworm-20250520-slim
ARG LLAMA_BASE=${BASE_IMAGE}

FROM ${BASE_IMAGE} AS base
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# Debian's mirrors keep no old versions to pin; the image's manifest records what was installed.
# hadolint ignore=DL3008
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends ca-certificates python3 >/dev/null \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt

# uv, checked against its hash. (A secret named `ca` stands in for the CA bundle where a proxy signs TLS anew.)
FROM base AS uv
COPY requirements/uv.txt /
# hadolint ignore=DL3008
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends python3-pip >/dev/null \
 && pip install --quiet --no-cache-dir --require-hashes --target /uv -r /uv.txt

# A folder with the CPU build of torch: --build-context wheels=FOLDER; without one it comes from TORCH_INDEX.
FROM scratch AS wheels

# llama.cpp: its tools, its source (--build-context llama-source=FOLDER for a copy of your own), and what is built from it
# (--build-context llama=FOLDER for a finished build). hft's own builder does it, so that an image and a laptop have the same.
FROM ${LLAMA_BASE} AS llama-tools
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends \
    ca-certificates cmake g++ ninja-build python3-click python3-pip python3-rich >/dev/null && rm -rf /var/lib/apt/lists/*
COPY hft/__init__.py hft/errors.py hft/files.py hft/redact.py hft/terminal.py /hft/hft/
COPY hft/export/__init__.py hft/export/llamacpp.py /hft/hft/export/
ENV PYTHONPATH=/hft

FROM llama-tools AS llama-fetch
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt mkdir /fetched \
 && python3 -c "from pathlib import Path; from hft.export import llamacpp; llamacpp.fetch(Path('/fetched')).rename('/source')"

FROM scratch AS llama-source
COPY --from=llama-fetch /source /

FROM llama-tools AS llama-build
ARG LLAMA_OPTIONS=
RUN --mount=type=bind,from=llama-source,target=/source \
    HFT_LLAMA_OPTIONS="${LLAMA_OPTIONS}" python3 -c "from pathlib import Path; from hft.export import llamacpp; llamacpp.make(Path('/source'), Path('/llama.cpp'))"

FROM scratch AS llama
COPY --from=llama-build /llama.cpp /

# What both images have around the libraries: any user id, nothing writable but the mounted folders and /tmp.
FROM base AS runtime
RUN mkdir /recipes /data && mkdir -m 1777 /runs /cache /cache/huggingface /cache/huggingface/hub /cache/models
# (HF_TOKEN_PATH is where a mounted secret is looked for, not a secret.)
# hadolint ignore=DL3064
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp USER=hft LOGNAME=hft HF_HOME=/cache/huggingface \
    HF_TOKEN_PATH=/run/secrets/hf_token \
    HFT_RECIPES=/recipes:/opt/hft/recipes HFT_DATA=/data HFT_RUNS=/runs HFT_CACHE=/cache HFT_LLAMA_CPP=/opt/llama.cpp \
    PYTHONPATH=/opt/hft PYTHONUNBUFFERED=1
COPY --chmod=755 <<'EOF' /usr/local/bin/hft
#!/bin/sh
umask 0002 # results are readable and writable for the group
exec /opt/venv/bin/python -m hft "$@"
EOF

ENTRYPOINT ["hft"]

FROM runtime AS cpu-libraries
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN --mount=type=cache,target=/uv-cache --mount=type=bind,from=uv,source=/uv/bin/uv,target=/usr/local/bin/uv \
    --mount=type=bind,from=wheels,target=/wheels --mount=type=bind,source=requirements,target=/requirements --mount=type=bind,source=tools/install.py,target=/tools/install.py \
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    export UV_CACHE_DIR=/uv-cache; if ls /wheels/torch-* >/dev/null 2>&1; then export UV_FIND_LINKS=/wheels; fi; export TORCH_INDEX \
 && python3 /tools/install.py cpu /opt/venv
COPY --from=llama / /opt/llama.cpp
RUN --mount=type=bind,source=requirements,target=/requirements --mount=type=bind,source=tools/check_image.py,target=/tools/check_image.py --mount=type=bind,source=hft/runs/image.py,target=/image.py \
    HF_HOME=/tmp XDG_CACHE_HOME=/tmp TRITON_CACHE_DIR=/tmp python /tools/check_image.py cpu \
 && python /image.py /requirements/cpu.lock >/opt/image.json && rm -rf /tmp/*

FROM runtime AS cuda-libraries
# Triton compiles its launchers while it runs: a C compiler and Python's headers.
# hadolint ignore=DL3008
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends gcc libc6-dev python3-dev >/dev/null \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*
# xformers 0.0.35 links CUDA 12's runtime; without this folder Unsloth falls back to an attention that is 2.7 times slower.
ENV LD_LIBRARY_PATH=/opt/venv/lib/python3.11/site-packages/nvidia/cuda_runtime/lib \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN --mount=type=cache,target=/uv-cache --mount=type=bind,from=uv,source=/uv/bin/uv,target=/usr/local/bin/uv \
    --mount=type=bind,source=requirements,target=/requirements --mount=type=bind,source=tools/install.py,target=/tools/install.py \
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    UV_CACHE_DIR=/uv-cache python3 /tools/install.py cuda /opt/venv
COPY --from=llama / /opt/llama.cpp
RUN --mount=type=bind,source=requirements,target=/requirements --mount=type=bind,source=tools/check_image.py,target=/tools/check_image.py --mount=type=bind,source=hft/runs/image.py,target=/image.py \
    HF_HOME=/tmp XDG_CACHE_HOME=/tmp TRITON_CACHE_DIR=/tmp python /tools/check_image.py cuda \
 && python /image.py /requirements/cuda.lock >/opt/image.json && rm -rf /tmp/*

# hft itself comes last: a change of it builds these few small layers anew and nothing else.
FROM base AS code
COPY recipes /opt/hft/recipes
COPY hft /opt/hft/hft
RUN python3 -m compileall -q /opt/hft

FROM cpu-libraries AS cpu
COPY --from=code /opt/hft /opt/hft
ARG REVISION=unknown
ENV HFT_REVISION=${REVISION}

FROM cuda-libraries AS cuda
COPY --from=code /opt/hft /opt/hft
ARG REVISION=unknown
ENV HFT_REVISION=${REVISION}
