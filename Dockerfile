# The gateway for production: without a Redis of its own, so it needs REDIS_URL.
#
#     docker build --tag midstream .
#     docker run -e REDIS_URL=redis://db-1:6379 -p 127.0.0.1:8000:8000 midstream
#
# Every package is installed from requirements/, by its hash.

FROM python:3.13-slim AS build
# Strips the libraries of the packages of what only debuggers read.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends binutils
WORKDIR /source
COPY requirements ./requirements
RUN python -m venv /tools \
    && /tools/bin/pip install --no-cache-dir --no-deps --require-hashes \
        --requirement requirements/run.txt --requirement requirements/demo.txt
RUN python -m venv --without-pip /midstream \
    && /tools/bin/pip --python /midstream install --no-cache-dir --no-deps --require-hashes \
        --requirement requirements/image.txt
COPY . .
RUN PATH="/tools/bin:$PATH" python scripts/build_backend.py /dist \
    && /tools/bin/pip --python /midstream install --no-cache-dir --no-deps /dist/*.whl
RUN find /midstream -name '*.so' -exec strip --strip-unneeded {} +

FROM python:3.13-slim
COPY --from=build /midstream /midstream
ENV PATH="/midstream/bin:$PATH" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
# What the process answers, whatever its Redis does: a restart would not mend Redis.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["python", "-c", \
    "import os, urllib.request as web; web.urlopen(f\"http://127.0.0.1:{os.environ.get('MIDSTREAM_SERVER_PORT', 8000)}/livez\", timeout=4)"]
ENTRYPOINT ["midstream"]
CMD ["serve", "--host", "0.0.0.0"]
