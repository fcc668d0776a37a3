# Two images from one file:
#
#   docker build --target migrator --tag tenant-registry-migrations .
#   docker build --target operator --tag schema-operator .
#
# BASE is any image with Python 3.11 or newer and its venv module. VERSION, REVISION and SOURCE
# (the address of the source) are for the labels. Where the package index is reached in another
# way than usual, say it as to pip, by name alone, so that no value stands in a command line:
#
#   PIP_INDEX_URL=… docker build --build-arg PIP_INDEX_URL --target migrator .
ARG BASE=docker.io/library/python:3.13-slim
ARG VERSION=0.1.0
ARG REVISION=
ARG SOURCE=

FROM ${BASE} AS build
WORKDIR /src
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
ARG PIP_PROXY
ARG PIP_CERT
ARG PIP_DEFAULT_TIMEOUT
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

# The migrator: also the base of your own image, which adds a package with a tree to /opt/trees.
FROM ${BASE} AS migrator
COPY --from=build /opt/migrator /opt/migrator
ENV PATH=/opt/migrator/bin:$PATH PYTHONPATH=/opt/trees PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /
USER 65532:65532
ENTRYPOINT ["migrate"]
CMD ["up"]
ARG VERSION
ARG REVISION
ARG SOURCE
LABEL org.opencontainers.image.title="tenant-registry-migrations" \
      org.opencontainers.image.description="migrate, with the tenant_registry schema embedded" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"

FROM ${BASE} AS operator
COPY --from=build /opt/operator /opt/operator
ENV PATH=/opt/operator/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /
USER 65532:65532
ENTRYPOINT ["schema-operator"]
CMD ["run", "--all-namespaces", "--health-listen=:8080"]
ARG VERSION
ARG REVISION
ARG SOURCE
LABEL org.opencontainers.image.title="schema-operator" \
      org.opencontainers.image.description="The controller of SchemaMigration resources" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
