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

# What others wrote: seldom new, and a layer of its own, so that a new version of ours is a small pull.
FROM ${BASE} AS dependencies
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
COPY requirements/build.txt requirements/migrator.txt requirements/operator.txt /src/requirements/
RUN /opt/build/bin/pip install --require-hashes --requirement requirements/build.txt \
 && for environment in migrator operator; do \
      /opt/build/bin/pip --python /opt/$environment/bin/python install --no-compile --require-hashes --requirement requirements/$environment.txt \
      && /opt/$environment/bin/python -m compileall -q -j 0 /opt/$environment/lib || exit 1; \
    done

FROM dependencies AS build
COPY pyproject.toml README.md CHANGELOG.md LICENSE /src/
COPY deploy/wheel /src/deploy/wheel
COPY operator /src/operator
COPY migrations /src/migrations
RUN /opt/build/bin/python -m hatchling build --target wheel --directory /dist
# The launcher starts quicker than pip's script: docs/speed.md. What is new since /before is ours.
RUN touch /before \
 && for environment in migrator operator; do \
      /opt/build/bin/pip --python /opt/$environment/bin/python install --no-compile --no-deps /dist/*.whl \
      && /opt/$environment/bin/python -m compileall -q -j 0 /opt/$environment/lib || exit 1; \
    done \
 && /opt/migrator/bin/python -m schema_migrator.launcher /opt/migrator/bin/migrate \
 && mkdir /ours \
 && cd /opt && find migrator operator -cnewer /before ! -type d -print0 | tar --null --files-from=- -c | tar -C /ours -x

# The migrator: also the base of your own image, which adds a package with a tree to /opt/trees.
FROM ${BASE} AS migrator
COPY --from=dependencies /opt/migrator /opt/migrator
COPY --from=build /ours/migrator /opt/migrator
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
COPY --from=dependencies /opt/operator /opt/operator
COPY --from=build /ours/operator /opt/operator
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
