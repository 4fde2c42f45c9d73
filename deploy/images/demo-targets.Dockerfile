# The services that a trial fleet watches. Not for production.
FROM scratch
LABEL org.opencontainers.image.title="Uitwijk demo targets" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY uitwijk-fleet /uitwijk-fleet
USER 65532:65532
EXPOSE 9000-9012 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["/uitwijk-fleet"]
