# One static binary and nothing else. Build it with deploy/build-images, which fills the context: the binary, and an
# empty directory that gives the data volume its owner.
FROM scratch
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Uitwijk collector" \
      org.opencontainers.image.description="Stores each measurement exactly once and judges whether a failover was needed" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY uitwijk-collector /uitwijk-collector
COPY uitwijk /uitwijk
COPY --chown=65532:65532 data /data
USER 65532:65532
VOLUME /data
EXPOSE 7443 9464
STOPSIGNAL SIGTERM
ENTRYPOINT ["/uitwijk-collector"]
