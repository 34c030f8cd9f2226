# syntax=docker/dockerfile:1

# --- Build ------------------------------------------------------------------------------------------------------------
# The tag names the toolchain; rust-toolchain.toml stays out (.dockerignore), since it would fetch rustfmt and clippy.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# The target directory is a cache and not part of the image, so the binary is copied out of it in the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --profile dist --locked -p roentgen-api \
    && install -D target/dist/roentgen /out/roentgen

# --- Run --------------------------------------------------------------------------------------------------------------
FROM debian:bookworm-slim
# A number, so that Kubernetes can see that it is not root (runAsNonRoot). Only its owner reads the keys in the data.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin roentgen \
    && install -d --owner=10001 --group=10001 --mode=0700 /var/lib/roentgen
COPY --from=build /out/roentgen /usr/local/bin/roentgen

USER 10001:10001
# With SQLite the log, the read models and the keys lie under it, in data/.
WORKDIR /var/lib/roentgen
VOLUME /var/lib/roentgen
EXPOSE 8030

# The image has no curl and `roentgen` no command for this, but Debian's slim image has bash, and bash can open a
# connection. It asks the port of CMD below: who listens elsewhere gives a health check of his own.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["bash", "-c", \
    "exec 3<>/dev/tcp/127.0.0.1/8030 && printf 'GET /health/ready HTTP/1.0\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [[ $status == 200 ]]"]

ENTRYPOINT ["roentgen"]
CMD ["serve", "--listen", "0.0.0.0:8030"]
