# syntax=docker/dockerfile:1
# An image of the program and nothing else: no shell, no package manager, no other user than 65532.
#
#   docker build --build-arg COMPLINE_COMMIT=$(git rev-parse HEAD) --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) -t compline .
#   docker run --read-only --cap-drop ALL -v ./pipeline.toml:/etc/compline/pipeline.toml:ro compline run /etc/compline/pipeline.toml
#
# The binary alone: docker build --target binary --output out .
# For another processor `--platform linux/arm64`: it is built on one, or slowly on an emulated one.

# The same Debian as the base below: a program that was linked with a newer glibc would not start there.
FROM rust:1.95.0-bookworm AS build
WORKDIR /src
COPY . .
ARG TARGETARCH
# The build context has no repository that would say them.
ARG COMPLINE_COMMIT
ARG COMPLINE_DATE
ARG SOURCE_DATE_EPOCH
# What is in a cache mount is gone with it: the program is copied out, and with it what a panic is unwound by.
RUN --mount=type=cache,id=compline-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=compline-target-$TARGETARCH,target=/src/target,sharing=locked \
    cargo build --locked --profile dist --package compline && \
    mkdir /out && cp target/dist/compline "$(gcc -print-file-name=libgcc_s.so.1)" /out/

FROM scratch AS binary
COPY --from=build /out/compline /compline

# glibc, the certificates of authorities and the time zones. The one with libgcc has 9 MB of OpenSSL and C++ too, which the
# program has no use for and which would have to be updated for their faults.
FROM gcr.io/distroless/base-nossl-debian12:nonroot
COPY LICENSE /usr/share/doc/compline/LICENSE
COPY --from=build /out/libgcc_s.so.1 /usr/lib/
COPY --from=build /out/compline /usr/local/bin/compline
ARG COMPLINE_COMMIT
LABEL org.opencontainers.image.title="compline" \
      org.opencontainers.image.description="The nightly record of AWS conformance-pack compliance" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="$COMPLINE_COMMIT"
# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
# A lake in a folder is a path from here.
WORKDIR /
ENTRYPOINT ["/usr/local/bin/compline"]
CMD ["--help"]
