# Two images from one file:
#
#   docker build --target migrator --tag tenant-registry-migrations .
#   docker build --target operator --tag schema-operator .
#
# BASE is any image with Python 3.11 or newer and its venv module.
ARG BASE=docker.io/library/python:3.13-slim

FROM ${BASE} AS build
WORKDIR /src
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# The environments hold neither pip nor a build tool; they are filled from outside.
RUN python3 -m venv --without-pip /opt/migrator \
 && python3 -m venv --without-pip /opt/operator \
 && python3 -m venv /opt/build
COPY requirements /src/requirements
RUN /opt/build/bin/pip --python /opt/migrator/bin/python install --no-compile --require-hashes --requirement requirements/migrator.txt \
 && /opt/build/bin/pip --python /opt/operator/bin/python install --no-compile --require-hashes --requirement requirements/operator.txt \
 && /opt/build/bin/pip install --require-hashes --requirement requirements/build.txt
COPY pyproject.toml README.md CHANGELOG.md LICENSE /src/
COPY deploy/wheel /src/deploy/wheel
COPY operator /src/operator
COPY migrations /src/migrations
RUN /opt/build/bin/python -m hatchling build --target wheel --directory /dist \
 && for environment in migrator operator; do \
      /opt/build/bin/pip --python /opt/$environment/bin/python install --no-compile --no-deps /dist/*.whl \
      && /opt/$environment/bin/python -m compileall -q -j 0 /opt/$environment/lib || exit 1; \
    done
# A quicker start than pip's script has: docs/speed.md.
RUN /opt/migrator/bin/python -m schema_migrator.launcher /opt/migrator/bin/migrate

# The migrator: also the base of your own image, which adds a package with a tree.
FROM ${BASE} AS migrator
COPY --from=build /opt/migrator /opt/migrator
ENV PATH=/opt/migrator/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
LABEL org.opencontainers.image.title="tenant-registry-migrations" \
      org.opencontainers.image.description="migrate, with the tenant_registry schema embedded" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 65532:65532
ENTRYPOINT ["migrate"]
CMD ["up"]

FROM ${BASE} AS operator
COPY --from=build /opt/operator /opt/operator
ENV PATH=/opt/operator/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
LABEL org.opencontainers.image.title="schema-operator" \
      org.opencontainers.image.description="The controller of SchemaMigration resources" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 65532:65532
ENTRYPOINT ["schema-operator"]
CMD ["run", "--all-namespaces", "--health-listen=:8080"]
