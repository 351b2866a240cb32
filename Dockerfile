# banditroute as a container. Settings: mount a config.toml at /etc/banditroute/config.toml.
FROM python:3.13-slim

WORKDIR /src
COPY pyproject.toml README.md LICENSE config.toml ./
COPY src ./src
RUN pip install --no-cache-dir . && rm -rf /src \
    && useradd --create-home banditroute && mkdir -p /etc/banditroute /var/lib/banditroute \
    && chown banditroute /var/lib/banditroute
COPY config.toml /etc/banditroute/config.toml

USER banditroute
# The SQLite file and the outbox are made here: keep it on a volume.
WORKDIR /var/lib/banditroute
VOLUME /var/lib/banditroute
EXPOSE 8080
# SIGTERM lets running requests finish and writes down what was learned.
ENTRYPOINT ["banditroute"]
CMD ["serve", "--config", "/etc/banditroute/config.toml", "--host", "0.0.0.0"]
