# Tallybook in an image: the binary, and PostgreSQL's programs for a private instance, for backups and for upgrades.
#
#   docker build --tag tallybook .
#   docker run --publish 127.0.0.1:8080:8080 --volume tallybook:/var/lib/tallybook tallybook
#
# With DATABASE_URL it uses that database and keeps nothing in the volume.
FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock rust-toolchain.toml ./
COPY migrations migrations
COPY src src
COPY deploy/schedule deploy/schedule
# Cargo asks for the file of every target that Cargo.toml names.
COPY tests/majors.rs tests/majors.rs
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target \
    cargo build --locked --release --features otel --bin tallybook && cp target/release/tallybook /tallybook

FROM debian:12.12-slim
# A pinned version would be gone from the archive with the next security update, which is what we want here.
# hadolint ignore=DL3008
RUN mkdir -p /etc/postgresql-common/createcluster.d \
    && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.d/tallybook.conf \
    && apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates postgresql-15 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 tallybook \
    && useradd --system --uid 10001 --gid tallybook --home-dir /var/lib/tallybook --shell /usr/sbin/nologin tallybook \
    && install --directory --owner=tallybook --group=tallybook --mode=0700 /var/lib/tallybook
COPY --from=build /tallybook /usr/local/bin/tallybook
USER 10001:10001
ENV TALLYBOOK_DATA_DIR=/var/lib/tallybook
VOLUME /var/lib/tallybook
EXPOSE 8080
# The private PostgreSQL is given time to write what it holds in memory: `docker stop --time 120`.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q '^HTTP/1.. 200' <&3"]
ENTRYPOINT ["tallybook"]
# The port is published by whoever runs this; TLS ends in front of it.
CMD ["serve", "--listen", "0.0.0.0:8080", "--behind-proxy"]
