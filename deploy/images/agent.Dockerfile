# One static binary and nothing else. Build it with deploy/build-images, which fills the context: the binary, and an
# empty directory that gives the data volume its owner.
FROM scratch
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Uitwijk agent" \
      org.opencontainers.image.description="Probes services on a fixed schedule, keeps every attempt on disk, streams it to collectors" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY uitwijk-agent /uitwijk-agent
COPY --chown=65532:65532 data /data
USER 65532:65532
VOLUME /data
EXPOSE 9464
STOPSIGNAL SIGTERM
ENTRYPOINT ["/uitwijk-agent"]
