# syntax=docker/dockerfile:1
#
# docker build -t stoker .                    attach-only: vLLM runs elsewhere, as in the README's guide
# docker build -t stoker-vllm --target vllm . Stoker and vLLM in one image: launches what /etc/stoker/stoker.yaml says
#
# Built on the older of the two systems it runs on, so that one program serves both.
ARG SWIFT_IMAGE=swift:6.3-jammy
ARG RUNTIME_IMAGE=debian:bookworm-slim
ARG VLLM_IMAGE=vllm/vllm-openai:v0.32.0

FROM ${SWIFT_IMAGE} AS build
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        libcurl4-openssl-dev libsystemd-dev libssl-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Package.swift ./
COPY Sources Sources
COPY Tests Tests
RUN swift build -c release --static-swift-stdlib --product stoker \
    && install -D "$(swift build -c release --static-swift-stdlib --show-bin-path)/stoker" /out/stoker \
    && strip /out/stoker

FROM ${VLLM_IMAGE} AS vllm
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates libcurl4 libsystemd0 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/stoker /usr/bin/stoker
ENV STOKER_LISTEN=0.0.0.0:8080 STOKER_ADMIN_LISTEN=0.0.0.0:8081
EXPOSE 8080 8081
VOLUME /var/lib/stoker
HEALTHCHECK --start-period=10s --interval=10s --timeout=5s CMD ["stoker", "probe"]
ENTRYPOINT ["stoker"]
CMD ["run"]

FROM ${RUNTIME_IMAGE} AS stoker
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates libcurl4 libsystemd0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --user-group --home-dir /var/lib/stoker --shell /usr/sbin/nologin stoker \
    && install -d -o stoker -g stoker -m 700 /var/lib/stoker \
    && install -d -o stoker -g stoker -m 755 /run/stoker
COPY --from=build /out/stoker /usr/bin/stoker
ENV STOKER_MODE=attach-only STOKER_LISTEN=0.0.0.0:8080 STOKER_ADMIN_LISTEN=0.0.0.0:8081 \
    STATE_DIRECTORY=/var/lib/stoker RUNTIME_DIRECTORY=/run/stoker
USER stoker
EXPOSE 8080 8081
VOLUME /var/lib/stoker
HEALTHCHECK --start-period=10s --interval=10s --timeout=5s CMD ["stoker", "probe"]
ENTRYPOINT ["stoker"]
CMD ["run"]
