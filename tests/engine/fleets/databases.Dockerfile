FROM IMAGE AS redis
RUN apt-get update && apt-get install -y --no-install-recommends redis-server
CMD ["redis-server", "--protected-mode", "no"]

FROM IMAGE AS postgres
RUN apt-get update && apt-get install -y --no-install-recommends postgresql
RUN install -d -o postgres /var/lib/postgresql/data /var/run/postgresql
COPY --chmod=755 postgres.sh /
USER postgres
STOPSIGNAL SIGINT
CMD ["/postgres.sh"]
